// What has to outlive the process: nobody registers a worker again when its NetManager was started anew, and containers
// run on meanwhile.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { reasonOf, SapwoodError } from "../../../base/errors.ts";
import { nameOfDraft, readOwnFile, removeOwnFile, replaceOwnFile, requireOwnFolder } from "../../../sys/own-files.ts";
import type { SavedContainers } from "./container.ts";
import { TAP_LAYOUTS } from "./guest-network.ts";
import type { Subnet } from "./subnet.ts";

export interface SavedState extends SavedContainers {
  readonly workerId: string;
  readonly clusterAddress: string;
  readonly subnet: Subnet;
  readonly address: string; // of the node, as the cluster was told
}

/** The first one that a release has written. */
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
  version: z.literal(VERSION, `expected ${VERSION}`),
  workerId: z.string(),
  clusterAddress: z.string(),
  subnet: pair,
  address: z.string(),
  containers: z.array(container),
  leaving: z.array(container),
});

export class StateFile {
  readonly folder: string;
  readonly #path: string;

  /** Makes the folder, and removes drafts that a crash left in it. Throws an Error when somebody else may write there. */
  constructor(folder: string) {
    requireOwnFolder(folder, FOLDER_MODE);
    this.folder = folder;
    for (const file of readdirSync(folder)) if (nameOfDraft(file) !== undefined) removeOwnFile(join(folder, file));
    this.#path = join(folder, "netmanager.json");
  }

  /** Undefined when there is none. Throws config-invalid when it cannot be used. */
  read(): SavedState | undefined {
    const content = readOwnFile(this.#path, FILE_BYTES_MAX);
    if (content === undefined) return undefined;
    const parsed = schema.safeParse(this.#parsed(content.toString("utf8")));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw this.#unusable(`${issue?.path.join(".") || "the whole"}: ${issue?.message}`);
  }

  #parsed(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw this.#unusable(reasonOf(error));
    }
  }

  #unusable(found: string): SapwoodError {
    const hint = "Without it the worker is registered anew.";
    return new SapwoodError("config-invalid", `${this.#path} must be a state of version ${VERSION}; ${found}. ${hint}`);
  }

  write(state: SavedState): void {
    replaceOwnFile(this.#path, JSON.stringify({ version: VERSION, ...state }));
  }
}
