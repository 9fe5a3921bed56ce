// What has to outlive the process: nobody registers a worker again when its NetManager was started anew, and containers
// run on meanwhile.

import { join } from "node:path";
import { z } from "zod";
import { readOwnFile, replaceOwnFile, requireOwnFolder } from "../../../sys/own-files.ts";
import type { Container } from "./containers.ts";
import type { Subnet } from "./subnet.ts";

export interface SavedState {
  readonly workerId: string;
  readonly clusterAddress: string;
  readonly subnet: Subnet;
  readonly containers: readonly Container[];
}

const VERSION = 1;
const FILE_BYTES_MAX = 4 * 2 ** 20;
const FOLDER_MODE = 0o700;

const pair = z.object({ v4: z.string(), v6: z.string() });
const schema = z.object({
  version: z.literal(VERSION),
  workerId: z.string(),
  clusterAddress: z.string(),
  subnet: pair,
  containers: z.array(
    z.object({
      job: z.string(),
      number: z.int(),
      addresses: pair,
      device: z.string(),
      mappings: z.array(
        z.object({ protocol: z.enum(["tcp", "udp"]), host: z.int().min(1), container: z.int().min(1) }),
      ),
    }),
  ),
});

export class StateFile {
  readonly #path: string;

  /** Makes the folder. Throws an Error when somebody else may write there. */
  constructor(folder: string) {
    requireOwnFolder(folder, FOLDER_MODE);
    this.#path = join(folder, "netmanager.json");
  }

  /** Undefined when there is none; throws an Error when it cannot be used. */
  read(): SavedState | undefined {
    const content = readOwnFile(this.#path, FILE_BYTES_MAX);
    if (content === undefined) return undefined;
    const parsed = schema.safeParse(JSON.parse(content.toString("utf8")));
    if (parsed.success) return parsed.data;
    throw new Error(`${this.#path} must be a state of version ${VERSION}; found ${parsed.error.issues[0]?.message}`);
  }

  write(state: SavedState): void {
    replaceOwnFile(this.#path, JSON.stringify({ version: VERSION, ...state }));
  }
}
