// What has to outlive the process: nobody registers a worker again when its NetManager was started anew, and containers
// run on meanwhile.

import { join } from "node:path";
import { z } from "zod";
import { readOwnFile, replaceOwnFile, requireOwnFolder } from "../../../sys/own-files.ts";
import type { SavedContainers } from "./container.ts";
import { TAP_LAYOUTS } from "./guest-network.ts";
import type { Subnet } from "./subnet.ts";

export interface SavedState extends SavedContainers {
  readonly workerId: string;
  readonly clusterAddress: string;
  readonly subnet: Subnet;
  readonly address: string; // of the node, as the cluster was told
}

const VERSION = 2;
const FILE_BYTES_MAX = 4 * 2 ** 20;
const FOLDER_MODE = 0o700;

/** As Containers makes them: never a way out of the folder of namespaces. */
const GUEST_NETNS = /^[\w.]+\.instance\.\d+$/;

const pair = z.object({ v4: z.string(), v6: z.string() });
const container = z.object({
  job: z.string(),
  number: z.int(),
  addresses: pair,
  device: z.string(),
  mappings: z.array(z.object({ protocol: z.enum(["tcp", "udp"]), host: z.int().min(1), container: z.int().min(1) })),
  process: z.object({ pid: z.int(), inode: z.int() }).optional(),
  guest: z.object({ netns: z.string().regex(GUEST_NETNS), tap: z.enum(TAP_LAYOUTS) }).optional(),
});
const schema = z.object({
  version: z.literal(VERSION),
  workerId: z.string(),
  clusterAddress: z.string(),
  subnet: pair,
  address: z.string(),
  containers: z.array(container),
  leaving: z.array(container),
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
