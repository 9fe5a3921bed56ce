// A thread of the data plane that is started before it is known what it is to do, so that it loads the program while the
// main thread reads the configuration.
// Promises: a thread that nobody takes keeps no process from ending; close() ends it, and the process must not end before.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { reasonOf, SapwoodError } from "../../base/errors.ts";

const WORKER = new URL("./worker.js", import.meta.url);

/** A thread that waits for its WorkerOptions, as a message. Throws when the machine has none for it. */
export function startThread(worker: number, file: URL = WORKER): Worker {
  try {
    return new Worker(file, { name: `sapwood-${worker}` });
  } catch (cause) {
    const message = `Worker ${worker} cannot be started: ${reasonOf(cause)}.`;
    throw new SapwoodError("system-call", message, { cause });
  }
}

export class SpareThread {
  #thread: Worker | undefined;

  /** For the first worker; `file` as startThread() takes it. */
  constructor(file?: URL) {
    const thread = startThread(0, file);
    this.#thread = thread;
    thread.unref();
    thread.on("error", () => undefined); // another one is started then, and says why it cannot be
    thread.once("exit", () => {
      this.#thread = undefined;
    });
  }

  get isThere(): boolean {
    return this.#thread !== undefined;
  }

  /** The thread, once; undefined when it has ended or was taken. */
  take(): Worker | undefined {
    const thread = this.#thread;
    this.#thread = undefined;
    thread?.ref();
    return thread;
  }

  /** A thread that is ended while it binds native functions aborts the process (napi_throw), so that it ends itself. */
  async close(): Promise<void> {
    const thread = this.take();
    if (thread === undefined) return;
    thread.postMessage(undefined);
    await once(thread, "exit").catch(() => undefined); // it failed, and ends as well
  }
}
