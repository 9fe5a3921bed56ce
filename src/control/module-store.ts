// The state directory: modules that a command loaded, each with the one before it, so that they are there again after a
// restart and a rollback leads to where it would have. Each lies in a file of its hash; index.json says which is what.
// Promises: every file is replaced by rename, so that a crash leaves the old state or the new one; what cannot be read
// is told and skipped.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type LoadedModule, sha256Of } from "./loaded-module.ts";
import { BUILT_IN_POLICIES } from "./policy-names.ts";

const INDEX = "index.json";
const FORMAT = 1;
const DIRECTORY_MODE = 0o755;

const moduleSchema = z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), source: z.string() });
const recordSchema = moduleSchema.extend({ previous: moduleSchema.optional() });
const indexSchema = z.object({
  format: z.literal(FORMAT),
  engine: recordSchema.optional(),
  policies: z.record(z.string(), recordSchema),
});

type Index = z.output<typeof indexSchema>;
type ModuleRecord = z.output<typeof moduleSchema>;
type PlaceRecord = z.output<typeof recordSchema>;

export interface StoredModule {
  readonly bytes: Uint8Array;
  readonly source: string;
}

/** A module that a command loaded, and the one that a rollback leads to if a command loaded that as well. */
export interface LoadedPair {
  readonly current: LoadedModule;
  readonly previous: LoadedModule | undefined;
}

/** The same, as far as it can be read. */
export interface StoredPair {
  readonly current: StoredModule | undefined;
  readonly previous: StoredModule | undefined;
}

/** What is remembered, or undefined where it is not a module that a command loaded. */
export interface Remembered<Pair> {
  readonly engine: Pair | undefined;
  readonly policies: ReadonlyMap<string, Pair>; // by name
}

export class ModuleStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Names of the policies that are remembered. Reads no module; none where there is no directory. */
  policyNames(): string[] {
    try {
      return Object.keys(this.#readIndex()?.policies ?? {});
    } catch {
      return []; // read() says why
    }
  }

  /** `onProblem` hears of what cannot be read, by its name. */
  read(onProblem: (name: string, message: string) => void): Remembered<StoredPair> {
    let index: Index | undefined;
    try {
      index = this.#readIndex();
    } catch (error) {
      onProblem(INDEX, `${join(this.#directory, INDEX)} cannot be used: ${messageOf(error)}`);
    }
    const readOne = (name: string, record: ModuleRecord | undefined, what: string): StoredModule | undefined => {
      if (record === undefined) return undefined;
      try {
        return this.#readModule(record);
      } catch (error) {
        onProblem(name, what + messageOf(error));
        return undefined;
      }
    };
    const readPair = (name: string, record: PlaceRecord): StoredPair => ({
      current: readOne(name, record, ""),
      previous: readOne(name, record.previous, "the one that a rollback led to: "),
    });
    const policies = Object.entries(index?.policies ?? {}).map(
      ([name, record]) => [name, readPair(name, record)] as const,
    );
    return { engine: index?.engine && readPair("engine", index.engine), policies: new Map(policies) };
  }

  /** Makes this what is remembered. Creates the directory at the first module. */
  write({ engine, policies }: Remembered<LoadedPair>): void {
    const pairs = [...policies.values(), ...(engine === undefined ? [] : [engine])];
    const modules = pairs.flatMap(({ current, previous }) =>
      previous === undefined ? [current] : [current, previous],
    );
    if (modules.length === 0 && this.#files().length === 0) return;
    mkdirSync(this.#directory, { recursive: true, mode: DIRECTORY_MODE });
    const present = new Set(this.#files());
    for (const { sha256, bytes } of modules) {
      if (!present.has(fileOf(sha256))) this.#replace(fileOf(sha256), bytes);
    }
    const index: Index = {
      format: FORMAT,
      ...(engine === undefined ? {} : { engine: recordOf(engine) }),
      policies: Object.fromEntries([...policies].map(([name, pair]) => [name, recordOf(pair)])),
    };
    this.#replace(INDEX, `${JSON.stringify(index, undefined, 2)}\n`);
    const wanted = new Set([INDEX, ...modules.map(({ sha256 }) => fileOf(sha256))]);
    for (const file of present) if (!wanted.has(file)) rmSync(join(this.#directory, file), { force: true });
  }

  #readIndex(): Index | undefined {
    let text: string;
    try {
      text = readFileSync(join(this.#directory, INDEX), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    return indexSchema.parse(JSON.parse(text));
  }

  #readModule({ sha256, source }: ModuleRecord): StoredModule {
    const bytes = readFileSync(join(this.#directory, fileOf(sha256)));
    const found = sha256Of(bytes);
    if (found !== sha256) throw new Error(`its file has changed: expected the hash ${sha256}, found ${found}`);
    return { bytes, source };
  }

  #replace(file: string, content: string | Uint8Array): void {
    const path = join(this.#directory, file);
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, content);
    renameSync(draft, path);
  }

  #files(): string[] {
    try {
      return readdirSync(this.#directory);
    } catch {
      return [];
    }
  }
}

/** Names that a configuration may use whose proxy has this state directory. */
export function knownPolicies(directory: string): string[] {
  return [...BUILT_IN_POLICIES, ...new ModuleStore(directory).policyNames()];
}

function fileOf(sha256: string): string {
  return `${sha256}.wasm`;
}

function recordOf({ current, previous }: LoadedPair): PlaceRecord {
  const { sha256, source } = current;
  return { sha256, source, ...(previous && { previous: { sha256: previous.sha256, source: previous.source } }) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
