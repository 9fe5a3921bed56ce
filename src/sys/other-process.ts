// A process that this one did not start. Its number alone may be that of another process later; a descriptor of it
// (pidfd_open(2)) stays with the one.

import { close, ENOSYS, pidfdOpen, pidfdSendSignal } from "./libc.ts";

const SIGKILL = 9;

export class OtherProcess {
  readonly pid: number;
  readonly #fd: number; // or the negated errno
  #isOpen: boolean;

  private constructor(pid: number) {
    this.pid = pid;
    this.#fd = pidfdOpen(pid);
    this.#isOpen = this.#fd >= 0;
  }

  /** To be called while it is surely there. */
  static of(pid: number): OtherProcess {
    return new OtherProcess(pid);
  }

  /** Ends it at once, if it is there still. */
  kill(): void {
    if (this.#isOpen) pidfdSendSignal(this.#fd, SIGKILL);
    else if (this.#fd === -ENOSYS) this.#killByNumber();
  }

  /** The process stays as it is. */
  close(): void {
    if (this.#isOpen) close(this.#fd);
    this.#isOpen = false;
  }

  /** Before Linux 5.3. */
  #killByNumber(): void {
    try {
      process.kill(this.pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}
