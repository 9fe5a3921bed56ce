// Descriptors for a process that has no other left: some that it holds on nothing and lets go of for who asks it
// something, and the place of its standard input, which is below every limit. By that one, connections that wait are
// refused with a sentence.
// Without it they would wait as long as they like, and each turn of the event loop would find them and fail.

import { closeSync, fstatSync, openSync } from "node:fs";
import * as Libc from "./libc.ts";
import { Poller } from "./poll.ts";

const NOTHING = "/dev/null";
/** For connections, and the files that answers are read from and made by (LOADED_AT_ONCE). */
const HELD = 24;
const STANDARD_INPUT = 0;
/** Where a process has its listeners, which are among the first that it opens. */
const LOOKED_AT = 1024;
/** The thread does nothing else meanwhile. */
const REFUSED_MAX = 32;
const REQUEST_WAIT_MS = 5;
const REQUEST_BYTES = 65_536;
// sys/socket.h
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SOCK_STREAM = 1;
const MSG_NOSIGNAL = 0x4000;

export class DescriptorReserve {
  #held: number[] = [];
  /** Standard input leads to nothing, and may be opened anew at any time. */
  readonly #mayTakeInput: boolean;

  /** A daemon reads nothing from its standard input; a file there may be its configuration. */
  constructor() {
    this.#mayTakeInput = leadInputToNothing();
    try {
      this.fill();
    } catch {
      // Whoever fills it next hears why.
    }
  }

  /** Takes what is missing. Throws what the system says when nothing can be opened. */
  fill(): void {
    closeSync(openSync(NOTHING, "r")); // under a lowered limit, those that are held say nothing
    while (this.#held.length < HELD) this.#held.push(openSync(NOTHING, "r"));
  }

  /** Lets go of all. Whether something can be opened now: under a lowered limit, the numbers may all be too high. */
  giveUp(): boolean {
    for (const fd of this.#held.splice(0)) closeSync(fd);
    try {
      closeSync(openSync(NOTHING, "r"));
      return true;
    } catch {
      return false;
    }
  }

  /** Answers who waits at any listener of this process with `answer`, and ends the connection. Returns how many. */
  refuseWaiting(answer: Uint8Array): number {
    if (!this.#mayTakeInput) return 0;
    let refused = 0;
    for (const listener of listeners()) {
      while (refused < REFUSED_MAX && new Poller([listener]).wait(0) > 0) {
        if (!this.#refuseFirst(listener, answer)) break;
        refused++;
      }
    }
    return refused;
  }

  close(): void {
    this.giveUp();
  }

  #refuseFirst(listener: number, answer: Uint8Array): boolean {
    Libc.close(STANDARD_INPUT);
    try {
      const connection = Libc.accept(listener, 0, 0, Libc.O_CLOEXEC | Libc.O_NONBLOCK);
      if (connection < 0) return false;
      // What is not read when it ends would end it before the answer is read.
      new Poller([connection]).wait(REQUEST_WAIT_MS);
      Libc.receive(connection, new Uint8Array(REQUEST_BYTES), REQUEST_BYTES, 0);
      Libc.send(connection, answer, answer.length, MSG_NOSIGNAL);
      Libc.close(connection);
      return true;
    } finally {
      Libc.open(NOTHING, Libc.O_RDWR); // the lowest number that is free
    }
  }
}

/** Of what is loaded while the process runs: Node.js never again loads what it could not load once. */
const LOADED_AT_ONCE = 16;

/** To be called before something is loaded. Throws what the system says when files could not be opened for it. */
export function expectRoomToLoad(): void {
  const opened: number[] = [];
  try {
    while (opened.length < LOADED_AT_ONCE) opened.push(openSync(NOTHING, "r"));
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/** Asks the kernel of each number, which takes no descriptor. */
function listeners(): number[] {
  const found: number[] = [];
  for (let fd = 0; fd < LOOKED_AT; fd++) {
    if (option(fd, SO_ACCEPTCONN) === 1 && option(fd, SO_TYPE) === SOCK_STREAM) found.push(fd);
  }
  return found;
}

function option(fd: number, name: number): number | undefined {
  const value = new Uint32Array(1);
  const size = Uint32Array.of(value.byteLength);
  return Libc.getsockopt(fd, SOL_SOCKET, name, value, size) < 0 ? undefined : value[0];
}

function leadInputToNothing(): boolean {
  if (fstatSync(STANDARD_INPUT).isFile()) return false; // Node.js sees to it that there is one
  const nothing = openSync(NOTHING, "r+");
  const result = Libc.dup2(nothing, STANDARD_INPUT);
  closeSync(nothing);
  return result === STANDARD_INPUT;
}
