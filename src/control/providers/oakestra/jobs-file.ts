// The jobs that a worker knew, for its next start: what its containers call and are called at works again before the
// broker and the cluster answer. Promises: a crash leaves the old content or the new one; many changes are one write;
// what cannot be read or written is told, and ends nothing, because the cluster can be asked for all of it.

import { join } from "node:path";
import * as z from "zod";
import { reasonOf } from "../../../base/errors.ts";
import { readOwnFile, replaceOwnFile } from "../../../sys/own-files.ts";
import type { SavedJob } from "./jobs.ts";
import { isJobName } from "./messages.ts";

export interface JobsFileOptions {
  readonly folder: string;
  /** Whose jobs they are: those of another worker, or of another cluster, are not read. */
  readonly workerId: string;
  readonly clusterAddress: () => string;
  /** What is to be written, the oldest first. */
  readonly jobs: () => readonly SavedJob[];
  readonly tell: (sentence: string) => void;
  readonly pauseMs?: number;
  readonly mostBytes?: number;
}

const VERSION = 1;
const FILE_BYTES_MAX = 8 * 2 ** 20;
/**
 * Changes within this time are one write. A connection to an instance that is not in the file yet is reset at the next
 * start, because the tables say then that its service has others.
 */
const PAUSE_MS = 50;
/** What could not be written is tried again so often. */
const AGAIN_MS = 1000;
/** A long file is written less often: writing takes at most one part of so many of the time. */
const REST_FACTOR = 20;

const file = z.object({
  version: z.literal(VERSION, `expected version ${VERSION}`),
  workerId: z.string(),
  clusterAddress: z.string(),
  jobs: z.array(z.unknown()),
});
/** The instances are read as those of a table query, each by itself. */
const job = z.object({
  name: z.string().refine(isJobName, "expected the name of a job"),
  instances: z.array(z.unknown()),
});

export class JobsFile {
  readonly #options: JobsFileOptions;
  readonly #path: string;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #tookMs = 0; // the last write
  /** What was told last of a write that left something out or failed. */
  #problem: string | undefined;

  constructor(options: JobsFileOptions) {
    this.#options = options;
    this.#path = join(options.folder, "jobs.json");
  }

  /** What the worker knew before, without what is odd. */
  read(): SavedJob[] {
    const { workerId, clusterAddress, tell, mostBytes = FILE_BYTES_MAX } = this.#options;
    try {
      const content = readOwnFile(this.#path, mostBytes);
      if (content === undefined) return [];
      const saved = file.safeParse(JSON.parse(content.toString("utf8")));
      if (!saved.success) throw new Error(problemOf(saved.error));
      if (saved.data.workerId !== workerId || saved.data.clusterAddress !== clusterAddress()) return [];
      return saved.data.jobs.flatMap((value, i) => {
        const one = job.safeParse(value);
        if (one.success) return one.data;
        tell(`left out of ${this.#path}: job ${i}: ${problemOf(one.error)}`);
        return [];
      });
    } catch (error) {
      tell(`${this.#path} is left alone, and the cluster is asked for all jobs: ${reasonOf(error)}`);
      return [];
    }
  }

  /** Writes what there is, a moment later. */
  onChange(): void {
    if (this.#isClosed) return;
    const pauseMs = Math.max(this.#options.pauseMs ?? PAUSE_MS, REST_FACTOR * this.#tookMs);
    this.#timer ??= setTimeout(() => this.write(), pauseMs).unref();
  }

  /** Writes what there is at once. */
  write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const startedMs = performance.now();
    try {
      const { text, leftOut } = this.#text();
      replaceOwnFile(this.#path, text);
      this.#tell(leftOut === 0 ? undefined : `${leftOut} jobs have no room in ${this.#path}`);
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? reasonOf(error); // without the draft's name
      this.#tell(`${this.#path} cannot be written for the next start: ${reason}`);
      if (!this.#isClosed) this.#timer = setTimeout(() => this.write(), AGAIN_MS).unref();
    }
    this.#tookMs = performance.now() - startedMs;
  }

  /** Writes what waits, and nothing more. */
  close(): void {
    this.#isClosed = true;
    if (this.#timer !== undefined) this.write();
  }

  /** As many jobs as have room; the newest go first. */
  #text(): { readonly text: string; readonly leftOut: number } {
    const { workerId, clusterAddress, jobs, mostBytes = FILE_BYTES_MAX } = this.#options;
    const all = jobs();
    const empty = JSON.stringify({ version: VERSION, workerId, clusterAddress: clusterAddress(), jobs: [] });
    let left = mostBytes - Buffer.byteLength(empty);
    const texts: string[] = [];
    for (const one of [...all].reverse()) {
      const text = JSON.stringify(one);
      left -= Buffer.byteLength(text) + 1; // with its comma
      if (left < 0) break;
      texts.push(text);
    }
    const text = `${empty.slice(0, -"]}".length)}${texts.reverse().join(",")}]}`;
    return { text, leftOut: all.length - texts.length };
  }

  /** Once, until it is something else. */
  #tell(problem: string | undefined): void {
    if (problem !== undefined && problem !== this.#problem) this.#options.tell(problem);
    this.#problem = problem;
  }
}

function problemOf({ issues: [issue] }: z.ZodError): string {
  return [issue?.path.join("."), issue?.message].filter(Boolean).join(": ");
}
