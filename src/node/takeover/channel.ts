// One end of the conversation about a takeover (model/takeover-messages.ts): messages that are checked, with deadlines.

import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Answering, Asking } from "../../model/takeover-messages.ts";
import type { MessageSocket } from "../../sys/message-socket.ts";

/** Packets wait as long as an answer is not seen. */
const LOOK_MS = 1;

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

  /** "closed": the other process is gone. Throws an Error when it says something else than expected, or nothing in time. */
  async receive(limitMs: number): Promise<Received<Incoming> | "closed"> {
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
      const received = await this.receive(limitMs).catch(() => undefined);
      if (received === "closed") return true;
      for (const fd of received?.descriptors ?? []) closeSync(fd);
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
      for (const fd of descriptors) closeSync(fd);
      throw new Error(`it said something that this version does not know: ${Buffer.from(bytes.subarray(0, 200))}`);
    }
  }
}
