// One capture's file: its blocks, its limits, and what did not get into it.

import type { ByteSink } from "./byte-stream.ts";
import type { CaptureRequest } from "./capture-request.ts";
import { type CapturedPacket, interfaceBlock, packetBlock, sectionBlock, statisticsBlock } from "./pcapng.ts";

/** In the order of their blocks. */
const INTERFACES = ["tun", "tunnel"];
/** Of what stands at the end. */
const ENDING_BYTES =
  INTERFACES.length * statisticsBlock({ interface: 0, fromUs: 0, toUs: 0, received: 0, dropped: 0 }).length;
/** What waits for a client that does not read. Losses are told behind it. */
const WAITING_MAX_BYTES = 1_048_576;
const TELL_INTERVAL_MS = 1000;

export class CaptureFile {
  readonly request: CaptureRequest;
  readonly #sink: ByteSink;
  readonly #version: string;
  #startedMs: number | undefined;
  #lostBefore = 0;
  readonly #received = INTERFACES.map(() => 0);
  readonly #dropped = INTERFACES.map(() => 0);
  #told = 0;
  #toldMs = 0;
  #count = 0;
  #bytes = 0;
  #isFull = false;
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;

  constructor(request: CaptureRequest, sink: ByteSink, version: string) {
    this.request = request;
    this.#sink = sink;
    this.#version = version;
  }

  /** Writes what stands in front of the packets. `lost`: packets that the workers could not pass on so far. */
  begin(lost: number): void {
    this.#startedMs = performance.now();
    this.#lostBefore = lost;
    this.#told = lost;
    this.#write(sectionBlock(`sapwood ${this.#version}`));
    for (const name of INTERFACES) this.#write(interfaceBlock(name, this.request.snapLength));
    this.flush();
  }

  /** It has all that was asked for. */
  get isDone(): boolean {
    if (this.#startedMs === undefined) return false;
    const { count, durationMs } = this.request;
    const isOver = durationMs !== undefined && performance.now() - this.#startedMs >= durationMs;
    return this.#isFull || isOver || (count !== undefined && this.#count >= count);
  }

  /** A packet written now has not to wait for its client. */
  get hasRoom(): boolean {
    return this.#sink.waiting + this.#unsentBytes <= WAITING_MAX_BYTES;
  }

  /** Whether the next packet of this interface is to be added. One that finds no room is counted. */
  accepts(index: number): boolean {
    if (this.#startedMs === undefined || this.isDone) return false;
    add(this.#received, index, 1);
    if (this.hasRoom) return true;
    add(this.#dropped, index, 1);
    return false;
  }

  /** A packet that was accepted. It is on its way after flush(). */
  add(packet: CapturedPacket): void {
    const block = packetBlock({ ...packet, parts: cut(packet.parts, this.request.snapLength) });
    const { sizeBytes } = this.request;
    if (sizeBytes !== undefined && this.#bytes + block.length + ENDING_BYTES > sizeBytes) {
      this.#isFull = true;
      return;
    }
    this.#count += 1;
    this.#write(block);
  }

  /**
   * Tells what is missing, if it became more, at most once a second: a client that ends the capture gets nothing that
   * comes after. `lost`: packets that the workers could not pass on so far.
   */
  tellLosses(lost: number): void {
    const missing = lost + this.#dropped.reduce((sum, count) => sum + count, 0);
    if (missing === this.#told || performance.now() - this.#toldMs < TELL_INTERVAL_MS) return;
    this.#told = missing;
    this.#toldMs = performance.now();
    this.#writeStatistics(lost);
    this.flush();
  }

  end(lost: number): void {
    if (this.#startedMs === undefined) this.begin(lost);
    this.#writeStatistics(lost);
    this.flush();
    this.#sink.end();
  }

  flush(): void {
    if (this.#unsent.length === 0) return;
    this.#sink.write(Buffer.concat(this.#unsent, this.#unsentBytes));
    this.#unsent = [];
    this.#unsentBytes = 0;
  }

  #writeStatistics(lost: number): void {
    const nowMs = performance.now();
    const toUs = (performance.timeOrigin + nowMs) * 1000;
    const fromUs = (performance.timeOrigin + (this.#startedMs ?? nowMs)) * 1000;
    // Of those that the workers could not pass on nobody knows the interface: they stand at both.
    const unseen = lost - this.#lostBefore;
    INTERFACES.forEach((_, index) => {
      const [received, dropped] = [this.#received[index] ?? 0, (this.#dropped[index] ?? 0) + unseen];
      this.#write(statisticsBlock({ interface: index, fromUs, toUs, received, dropped }));
    });
  }

  #write(block: Uint8Array): void {
    this.#bytes += block.length;
    this.#unsent.push(block);
    this.#unsentBytes += block.length;
  }
}

function add(counts: number[], index: number, amount: number): void {
  counts[index] = (counts[index] ?? 0) + amount;
}

/** The first `length` bytes of what is in pieces. */
function cut(parts: readonly Uint8Array[], length: number): Uint8Array[] {
  let left = length;
  return parts.map((part) => {
    const piece = part.subarray(0, left);
    left -= piece.length;
    return piece;
  });
}
