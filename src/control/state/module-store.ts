// The state directory: modules that a command loaded, each with the one before it, so that they are there again after a
// restart and a rollback leads to where it would have. Each lies in a file of its hash; index.json says which is what.
// Promises: every file is replaced by rename, so that a crash leaves the old state or the new one; what cannot be read
// is told and skipped. All lies in a folder of its own, which one proxy has at a time. Nothing is removed but files
// that an index named and drafts, and no link is followed.

import { lstatSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { SapwoodError } from "../../base/errors.ts";
import { MODULE_BYTES_MAX } from "../../dataplane/modules/wasm.ts";
import { BUILT_IN_POLICIES } from "../../model/policy-names.ts";
import { FolderLock } from "../../sys/file-lock.ts";
import {
  checkOwnFolder,
  nameOfDraft,
  readOwnFile,
  removeOwnFile,
  replaceOwnFile,
  requireOwnFolder,
} from "../../sys/own-files.ts";
import { whyUnreadable } from "../../sys/user-file.ts";
import { checkJsonNesting } from "../config/nesting.ts";
import { type LoadedModule, sha256Of } from "./loaded-module.ts";

/** Within the state directory; what else lies there is not ours. */
export const MODULE_FOLDER = "sapwood-modules";
const INDEX = "index.json";
/** What a damaged index is called from then on. */
const DAMAGED = ".damaged";
const INDEX_BYTES_MAX = 2 ** 20;
const FORMAT = 1;
const DIRECTORY_MODE = 0o755;
/** Whoever may open the folder may lock it. */
const FOLDER_MODE = 0o700;
const MODULE_FILE = /^[0-9a-f]{64}\.wasm$/;

const moduleSchema = z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), source: z.string() });
const recordSchema = moduleSchema.extend({
  previous: moduleSchema.optional(),
  /** The file under `policies` whose content it took the place of, by its hash. */
  instead: z.string().optional(),
});
const indexSchema = z.object({
  format: z.literal(FORMAT),
  engine: recordSchema.optional(),
  policies: z.record(z.string(), recordSchema),
});

type Index = z.output<typeof indexSchema>;
type ModuleRecord = z.output<typeof moduleSchema>;
type PlaceRecord = z.output<typeof recordSchema>;

export type StoredModule = Pick<LoadedModule, "bytes" | "source" | "sha256">;

/** A module that a command loaded, and the one that a rollback leads to if a command loaded that as well. */
export interface LoadedPair {
  readonly current: StoredModule;
  readonly previous: StoredModule | undefined;
  /** Hash of the content that the policy's file under `policies` had then; undefined: there was none. */
  readonly instead: string | undefined;
}

/** The same, as far as it can be read. */
export interface StoredPair {
  readonly current: StoredModule | undefined;
  readonly previous: StoredModule | undefined;
  readonly instead: string | undefined;
}

/**
 * Whether the file under `policies` is in force in the place of the remembered module, since the last order counts: its
 * content is another than the one that the module took the place of.
 */
export function isOutdated({ instead }: Pick<StoredPair, "instead">, fileSha256: string | undefined): boolean {
  return fileSha256 !== undefined && fileSha256 !== instead;
}

/** What is remembered, or undefined where it is not a module that a command loaded. */
interface Remembered<Pair> {
  readonly engine: Pair | undefined;
  readonly policies: ReadonlyMap<string, Pair>; // by name
}

export class ModuleStore {
  readonly #directory: string;
  readonly #folder: string;
  #lock: FolderLock | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.#folder = join(directory, MODULE_FOLDER);
  }

  /**
   * Keeps other proxies out of a state directory that exists; by the lock that the process before passed on, if it did.
   * Throws already-running.
   */
  claim(passedLock?: number): void {
    if (passedLock !== undefined) {
      this.#lock = FolderLock.adopt(this.#folder, passedLock);
      return;
    }
    try {
      if (lstatSync(this.#directory, { throwIfNoEntry: false })?.isDirectory() !== true) return;
      requireOwnFolder(this.#folder, FOLDER_MODE);
    } catch {
      return; // nothing can be written here; whoever reads or writes modules hears why
    }
    this.#take();
  }

  /** Of the lock on the state directory, to be passed on; undefined: there is none. */
  get lockDescriptor(): number | undefined {
    return this.#lock?.descriptor;
  }

  close(): void {
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** Names of the policies that are remembered. Reads no module; none where there is no directory. */
  policyNames(): string[] {
    try {
      return Object.keys(this.#readIndex()?.policies ?? {});
    } catch {
      return []; // read() says why
    }
  }

  /** `onProblem` is told what cannot be read, by its name. */
  read(onProblem: (name: string, message: string) => void): Remembered<StoredPair> {
    let index: Index | undefined;
    try {
      index = this.#readIndex();
    } catch (error) {
      onProblem(INDEX, `${join(this.#folder, INDEX)} cannot be used: ${whyUnreadable(error)}`);
    }
    const readOne = (name: string, record: ModuleRecord | undefined, what: string): StoredModule | undefined => {
      if (record === undefined) return undefined;
      try {
        return this.#readModule(record);
      } catch (error) {
        onProblem(name, what + whyUnreadable(error));
        return undefined;
      }
    };
    const readPair = (name: string, record: PlaceRecord): StoredPair => ({
      current: readOne(name, record, ""),
      previous: readOne(name, record.previous, "the one that a rollback led to: "),
      instead: record.instead,
    });
    const policies = Object.entries(index?.policies ?? {}).map(
      ([name, record]) => [name, readPair(name, record)] as const,
    );
    return { engine: index?.engine && readPair("engine", index.engine), policies: new Map(policies) };
  }

  /** Makes this what is remembered. Creates the directory at the first module. Throws when it cannot. */
  write({ engine, policies }: Remembered<LoadedPair>): void {
    const pairs = [...policies.values(), ...(engine === undefined ? [] : [engine])];
    const modules = pairs.flatMap(({ current, previous }) =>
      previous === undefined ? [current] : [current, previous],
    );
    if (modules.length === 0 && lstatSync(this.#folder, { throwIfNoEntry: false }) === undefined) return;
    requireOwnFolder(this.#directory, DIRECTORY_MODE);
    requireOwnFolder(this.#folder, FOLDER_MODE);
    this.#take();
    const before = this.#namedFiles();
    for (const { sha256, bytes } of modules) {
      const path = join(this.#folder, fileOf(sha256));
      if (!isSame(path, sha256)) replaceOwnFile(path, bytes);
    }
    const index: Index = {
      format: FORMAT,
      ...(engine === undefined ? {} : { engine: recordOf(engine) }),
      policies: Object.fromEntries([...policies].map(([name, pair]) => [name, recordOf(pair)])),
    };
    replaceOwnFile(join(this.#folder, INDEX), `${JSON.stringify(index, undefined, 2)}\n`);
    this.#clear(before, new Set(modules.map(({ sha256 }) => fileOf(sha256))));
  }

  #take(): void {
    this.#lock ??= FolderLock.tryTake(this.#folder);
    if (this.#lock !== undefined) return;
    throw new SapwoodError(
      "already-running",
      `The state directory must be this proxy's alone; another one uses ${this.#directory}: ` +
        "name another one under state.directory.",
    );
  }

  /**
   * Files that the index names. Throws when it is none of ours, so that it is not replaced either; one that is no text of
   * JSON any more is put beside.
   */
  #namedFiles(): Set<string> {
    let index: Index | undefined;
    try {
      index = this.#readIndex();
    } catch (cause) {
      const path = join(this.#folder, INDEX);
      if (cause instanceof SyntaxError) {
        renameSync(path, `${path}${DAMAGED}`);
        return new Set();
      }
      throw new Error(`${path} is not what this program wrote; move it away (${whyUnreadable(cause)})`, { cause });
    }
    const records = [...Object.values(index?.policies ?? {}), ...(index?.engine === undefined ? [] : [index.engine])];
    return new Set(
      records.flatMap((record) => [record, record.previous ?? record]).map(({ sha256 }) => fileOf(sha256)),
    );
  }

  /** Removes what was named and is not any more, and drafts that a crash left. */
  #clear(before: ReadonlySet<string>, wanted: ReadonlySet<string>): void {
    for (const file of readdirSync(this.#folder)) {
      const drafted = nameOfDraft(file);
      const isDraft = drafted !== undefined && (drafted === INDEX || MODULE_FILE.test(drafted));
      const isOld = before.has(file) && !wanted.has(file);
      if (isDraft || isOld) removeOwnFile(join(this.#folder, file));
    }
  }

  #readIndex(): Index | undefined {
    if (lstatSync(this.#folder, { throwIfNoEntry: false }) === undefined) return undefined;
    checkOwnFolder(this.#directory);
    checkOwnFolder(this.#folder);
    const text = readOwnFile(join(this.#folder, INDEX), INDEX_BYTES_MAX)?.toString("utf8");
    if (text === undefined) return undefined;
    checkJsonNesting(text, (expected) => new Error(expected));
    return indexSchema.parse(JSON.parse(text));
  }

  #readModule({ sha256, source }: ModuleRecord): StoredModule {
    const path = join(this.#folder, fileOf(sha256));
    const bytes = readOwnFile(path, MODULE_BYTES_MAX);
    if (bytes === undefined) throw new Error(`its file ${path} is missing`);
    const found = sha256Of(bytes);
    if (found !== sha256) throw new Error(`its file has changed: expected the hash ${sha256}, found ${found}`);
    return { bytes, source, sha256 };
  }
}

/** Whether the module is there already, as it was. */
function isSame(path: string, sha256: string): boolean {
  try {
    const bytes = readOwnFile(path, MODULE_BYTES_MAX);
    return bytes !== undefined && sha256Of(bytes) === sha256;
  } catch {
    return false;
  }
}

/** Names that a configuration may use whose proxy has this state directory. */
export function knownPolicies(directory: string): string[] {
  return [...BUILT_IN_POLICIES, ...new ModuleStore(directory).policyNames()];
}

function fileOf(sha256: string): string {
  return `${sha256}.wasm`;
}

function recordOf({ current, previous, instead }: LoadedPair): PlaceRecord {
  const { sha256, source } = current;
  return {
    sha256,
    source,
    ...(previous && { previous: { sha256: previous.sha256, source: previous.source } }),
    ...(instead !== undefined && { instead }),
  };
}
