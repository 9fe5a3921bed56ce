// Sees every way in which a file changes: written in place, replaced by rename, swapped through a symlink
// (as Kubernetes mounts do it). It therefore watches folders, not the file: that of the path, and that of the file
// to which the path leads. A look every second sees what happens above these folders, and folders that come and go.
// Reads a file only when nobody writes to it any more. Loads one at a time, in order. What failed for lack of
// descriptors or memory is tried again at each look.

import { type FSWatcher, realpathSync, statSync, watch } from "node:fs";
import { dirname, resolve } from "node:path";
import { CommonInterval } from "../../base/common-interval.ts";
import { shortageOf } from "../../base/shortage.ts";
import type { ConfigReport } from "../../model/reports.ts";
import { statusOf, whyNoFile, whyUnreadable } from "../../sys/user-file.ts";
import { isBeingWritten } from "../../sys/writers.ts";

/** What happens after a change; `load` failures are passed on as they were thrown. */
export interface FileListener<Content> {
  onContent(content: Content): Promise<void>;
  onRefused(error: unknown): void;
  /** Changes are no longer seen at once, or not at all; `problem` is a sentence without its full stop. */
  onUnwatched(problem: string): void;
}

/** A save is several events: truncate, write, rename. */
const DEBOUNCE_MS = 50;
/** Other files of the folder that change all the time must not put a check off for ever. */
const DEBOUNCE_MAX_MS = 500;
/** Whoever watches a folder hears nothing of those above it. */
const LOOK_MS = 1000;
/** How long a file must have stayed as it is, where the kernel does not tell whether somebody writes to it. */
const SETTLED_MS = 300;
/** A mount of a single file, as containers have it, stays with the file that it began with. */
const REPLACED_BELOW = "it was replaced or removed where it is mounted from; mount its folder instead";

export class FileWatcher<Content> {
  readonly #path: string;
  readonly #load: (path: string) => Content | Promise<Content>;
  readonly #folders = new Map<string, FSWatcher>();
  readonly #unwatchable = new Map<string, string>(); // folders, and why
  #toldProblem: string | undefined;
  #listener: FileListener<Content> | undefined;
  #loadedSignature: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #look: CommonInterval | undefined;
  #firstEventMs: number | undefined;
  #work: Promise<void> = Promise.resolve();
  #toldShortage: string | undefined; // of the change that is tried again

  constructor(path: string, load: (path: string) => Content | Promise<Content>) {
    this.#path = resolve(path);
    this.#load = load;
  }

  /** Reads the file now. What watch() calls a change is a change since then. */
  async load(): Promise<Content> {
    // Taken before reading: a change during the read is seen as one afterwards.
    this.#loadedSignature = this.#signature();
    return await this.#load(this.#path);
  }

  /** Reports changes until close(). */
  watch(listener: FileListener<Content>): void {
    this.#listener = listener;
    this.#watchFolders();
    this.#schedule();
    this.#look = new CommonInterval(LOOK_MS, () => {
      if (this.#signature() !== this.#loadedSignature) this.#schedule();
      this.#tellProblem();
    });
  }

  /** Reads the file again whether it changed or not; resolves when its listener is done. */
  reload(): Promise<void> {
    this.#work = this.#work.then(() => this.#deliver());
    return this.#work;
  }

  /** How it is now. */
  get following(): ConfigReport {
    const missing = this.#whyUnfollowed();
    const [late] = this.#unwatchable.values();
    return { file: this.#path, isFollowed: missing === undefined, problem: missing ?? late };
  }

  /** Resolves when a load that was under way is done; afterwards the listener hears nothing more. */
  close(): Promise<void> {
    this.#listener = undefined;
    clearTimeout(this.#timer);
    this.#look?.close();
    for (const watcher of this.#folders.values()) watcher.close();
    this.#folders.clear();
    return this.#work;
  }

  #schedule(): void {
    const nowMs = performance.now();
    this.#firstEventMs ??= nowMs;
    clearTimeout(this.#timer);
    const leftMs = this.#firstEventMs + DEBOUNCE_MAX_MS - nowMs;
    this.#timer = setTimeout(
      () => {
        this.#firstEventMs = undefined;
        this.#work = this.#work.then(() => this.#check());
      },
      Math.max(0, Math.min(DEBOUNCE_MS, leftMs)),
    );
  }

  async #check(): Promise<void> {
    if (this.#listener === undefined) return;
    this.#watchFolders();
    if (this.#signature() === this.#loadedSignature) return;
    if (this.#isUnfinished()) this.#schedule();
    else await this.#deliver();
  }

  /** Half a file would be half of the services. */
  #isUnfinished(): boolean {
    const writing = isBeingWritten(this.#path);
    if (writing !== undefined) return writing;
    const status = statusOf(this.#path);
    return status !== undefined && Date.now() - status.mtimeMs >= 0 && Date.now() - status.mtimeMs < SETTLED_MS;
  }

  async #deliver(): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined) return;
    try {
      await listener.onContent(await this.load());
      this.#toldShortage = undefined;
    } catch (error) {
      const shortage = shortageOf(error)?.code;
      if (shortage === undefined || shortage !== this.#toldShortage) listener.onRefused(error);
      this.#toldShortage = shortage;
      // Nothing is wrong with the file: the next look finds a change again.
      if (shortage !== undefined) this.#loadedSignature = undefined;
    }
  }

  /** Says whether the file is the same with the same content, without reading it; undefined when there is none. */
  #signature(): string | undefined {
    try {
      const { dev, ino, size, mtimeNs } = statSync(this.#path, { bigint: true });
      return [dev, ino, size, mtimeNs].join(":");
    } catch {
      return undefined; // missing or out of reach: load() says why
    }
  }

  #whyUnfollowed(): string | undefined {
    try {
      const status = statSync(this.#path);
      return status.nlink === 0 ? REPLACED_BELOW : whyNoFile(status);
    } catch (error) {
      return whyUnreadable(error);
    }
  }

  /** What load() does not find out: it tells of a file that is missing, and of what is no file. */
  #tellProblem(): void {
    const { problem } = this.following;
    const isNews = problem === REPLACED_BELOW || [...this.#unwatchable.values()].some((late) => late === problem);
    const told = isNews ? problem : undefined;
    if (told !== undefined && told !== this.#toldProblem) this.#listener?.onUnwatched(told);
    this.#toldProblem = told;
  }

  #watchFolders(): void {
    const wanted = new Set([dirname(this.#path)]);
    try {
      wanted.add(dirname(realpathSync(this.#path)));
    } catch {
      // The path leads nowhere now; its own folder reports when that changes.
    }
    for (const [folder, watcher] of this.#folders) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#folders.delete(folder);
    }
    this.#unwatchable.clear();
    for (const folder of wanted) if (!this.#folders.has(folder)) this.#watchFolder(folder);
  }

  #watchFolder(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#schedule());
      watcher.on("error", (error) => {
        this.#folders.delete(folder);
        this.#noteUnwatchable(folder, error);
      });
      this.#folders.set(folder, watcher);
    } catch (error) {
      this.#noteUnwatchable(folder, error);
    }
  }

  /** Too few inotify(7) watches, say. The look every second goes on. */
  #noteUnwatchable(folder: string, error: unknown): void {
    this.#unwatchable.set(
      folder,
      `${folder} cannot be watched (${whyUnreadable(error)}): changes are seen after a second`,
    );
  }
}
