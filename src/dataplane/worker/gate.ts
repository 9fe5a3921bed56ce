// Holds the workers between two breaths, without a cost per breath: they look at it when they begin and after an order.
// What comes meanwhile waits in the queues of the kernel.

const OPEN = 0;
const CLOSED = 1;
/** A worker that is held looks for orders this often. */
const LOOK_MS = 5;

export class Gate {
  readonly #word: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#word = new Int32Array(buffer);
  }

  static create(isOpen: boolean): Gate {
    const gate = new Gate(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    if (!isOpen) gate.shut();
    return gate;
  }

  get buffer(): SharedArrayBuffer {
    return this.#word.buffer as SharedArrayBuffer;
  }

  shut(): void {
    Atomics.store(this.#word, 0, CLOSED);
  }

  open(): void {
    Atomics.store(this.#word, 0, OPEN);
    Atomics.notify(this.#word, 0);
  }

  /** Blocks the thread of a worker until the gate is open, for a few milliseconds at most; whether it is. */
  isOpenSoon(): boolean {
    if (Atomics.load(this.#word, 0) === OPEN) return true;
    Atomics.wait(this.#word, 0, CLOSED, LOOK_MS);
    return Atomics.load(this.#word, 0) === OPEN;
  }
}
