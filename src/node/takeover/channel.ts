// One end of the conversation about a takeover (model/takeover-messages.ts): messages that are checked, with deadlines.

import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { shortText } from "../../base/issues.ts";
import type { Answering, Asking } from "../../model/takeover-messages.ts";
import type { MessageSocket } from "../../sys/message-socket.ts";

/** Packets wait as long as an answer is not seen. */
const LOOK_MS = 1;
/** Of what it said, in a sentence. */
const TOLD_BYTES = 200;

interface Received<Incoming> {
  readonly message: Incoming;
  /** Whoever receives them closes them. */
  readonly descriptors: readonly number[];
}

interface Schema<Value> {
  /** Throws for anything else than a value. */
  parse(value: unknown): Value;
}

export class Channel<Outgoing extends Asking | Answering, Incoming> {
  readonly #socket: MessageSocket;
  readonly #schema: Schema<Incoming>;
  #isClosed = false;

  constructor(socket: MessageSocket, schema: Schema<Incoming>) {
    this.#socket = socket;
    this.#schema = schema;
  }

  /** False: the other end is gone. */
  send(message: Outgoing, descriptors: readonly number[] = []): boolean {
    if (this.#isClosed) return false;
    try {
      this.#socket.send(Buffer.from(JSON.stringify(message)), descriptors);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * "closed": the other process is gone. Throws an Error when it says something else than expected, or nothing in time.
   * Descriptors that come along are closed.
   */
  async receive(limitMs: number): Promise<Incoming | "closed"> {
    const received = await this.receiveDescriptors(limitMs);
    if (received === "closed") return received;
    closeAll(received.descriptors);
    return received.message;
  }

  /** The same for a message with descriptors. */
  async receiveDescriptors(limitMs: number): Promise<Received<Incoming> | "closed"> {
    const giveUpAtMs = performance.now() + limitMs;
    for (;;) {
      if (this.#isClosed) return "closed";
      const received = this.#socket.receive();
      if (received === "closed") return received;
      if (received !== undefined) return this.#checked(received.bytes, received.descriptors);
      if (performance.now() > giveUpAtMs) throw new Error(`it said nothing for ${Math.round(limitMs)} ms`);
      await sleep(LOOK_MS);
    }
  }

  /** Resolves when the other process is gone, whatever it says until then; false: it is not, after `limitMs`. */
  async ended(limitMs: number): Promise<boolean> {
    const giveUpAtMs = performance.now() + limitMs;
    while (performance.now() < giveUpAtMs) {
      const left = giveUpAtMs - performance.now();
      if ((await this.receive(left).catch(() => undefined)) === "closed") return true;
      await sleep(LOOK_MS); // one that says very much holds up nothing else
    }
    return false;
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.close();
  }

  #checked(bytes: Uint8Array, descriptors: readonly number[]): Received<Incoming> {
    try {
      return { message: this.#schema.parse(JSON.parse(Buffer.from(bytes).toString("utf8"))), descriptors };
    } catch {
      closeAll(descriptors);
      const found = shortText(Buffer.from(bytes.subarray(0, TOLD_BYTES)).toString("utf8"), TOLD_BYTES);
      throw new Error(`it said something that this version does not know: ${found}`);
    }
  }
}

function closeAll(descriptors: readonly number[]): void {
  for (const fd of descriptors) closeSync(fd);
}
