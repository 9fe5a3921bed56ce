// A lock on a folder that ends with its owner: whatever ends the process, the kernel lets it go (flock(2)). The folder
// should be open to its owner alone, since whoever may open it may lock it.

import { closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs";
import { SapwoodError } from "../base/errors.ts";
import { EAGAIN, expectSuccess, flock } from "./libc.ts";

// sys/file.h
const LOCK_EX = 2;
const LOCK_NB = 4;

const RETRY_MS = 10;
const GIVE_UP_MS = 10_000;

export class FolderLock {
  readonly #file: number;
  #isHeld = true;

  private constructor(file: number) {
    this.#file = file;
  }

  /** Undefined when somebody else has it. Throws when the folder cannot be opened. */
  static tryTake(folder: string): FolderLock | undefined {
    const file = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    const result = flock(file, LOCK_EX | LOCK_NB);
    if (result >= 0) return new FolderLock(file);
    closeSync(file);
    if (result !== -EAGAIN) expectSuccess(result, `Locking ${folder}`);
    return undefined;
  }

  /**
   * The lock on `folder` that another process holds and has passed on as `file`: both hold it, until both have let it go.
   * Throws takeover-failed when the descriptor is another one, and closes it.
   */
  static adopt(folder: string, file: number): FolderLock {
    const [passed, expected] = [fstatSync(file), lstatSync(folder)];
    const isSame = passed.dev === expected.dev && passed.ino === expected.ino;
    if (isSame && flock(file, LOCK_EX | LOCK_NB) >= 0) return new FolderLock(file);
    closeSync(file);
    const message = `The running proxy must have the lock on ${folder}; what it passed on is none: is the folder another one?`;
    throw new SapwoodError("takeover-failed", message);
  }

  /** To be passed on. */
  get descriptor(): number {
    return this.#file;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    closeSync(this.#file);
  }
}

/** Does something that takes milliseconds while nobody else does the like; waits for its turn. */
export function withFolderLock<T>(folder: string, task: () => T): T {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const giveUpAtMs = performance.now() + GIVE_UP_MS;
  for (;;) {
    const lock = FolderLock.tryTake(folder);
    if (lock !== undefined) {
      try {
        return task();
      } finally {
        lock.release();
      }
    }
    if (performance.now() > giveUpAtMs) throw new Error(`${folder} is locked by another process for ${GIVE_UP_MS} ms`);
    Atomics.wait(pause, 0, 0, RETRY_MS);
  }
}
