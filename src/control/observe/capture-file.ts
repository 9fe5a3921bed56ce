// One capture's file: its blocks, its limits, and what did not get into it.

import type { ByteSink } from "./byte-stream.ts";
import type { CaptureRequest } from "./capture-request.ts";
import { type CapturedPacket, interfaceBlock, packetBlock, sectionBlock, statisticsBlock } from "./pcapng.ts";

/** In the order of their blocks. */
const INTERFACES = ["tun", "tunnel"];
/** Of what stands at the end. */
const ENDING_BYTES =
  INTERFACES.length * statisticsBlock({ interface: 0, fromUs: 0, toUs: 0, received: 0, dropped: 0 }).length;
/** What waits for a client that does not read. */
const WAITING_MAX_BYTES = 4_194_304;
const TELL_INTERVAL_MS = 1000;

export class CaptureFile {
  readonly request: CaptureRequest;
  readonly #sink: ByteSink;
  readonly #startedMs = performance.now();
  readonly #lostBefore: number;
  readonly #received = INTERFACES.map(() => 0);
  readonly #dropped = INTERFACES.map(() => 0);
  #told: number;
  #toldMs = 0;
  #count = 0;
  #bytes = 0;
  #isFull = false;

  /** `lost`: packets that the workers could not pass on so far. */
  constructor(request: CaptureRequest, sink: ByteSink, version: string, lost: number) {
    this.request = request;
    this.#sink = sink;
    this.#lostBefore = lost;
    this.#told = lost;
    this.#write(sectionBlock(`sapwood ${version}`));
    for (const name of INTERFACES) this.#write(interfaceBlock(name, request.snapLength));
  }

  /** It has all that was asked for. */
  get isDone(): boolean {
    const { count, durationMs } = this.request;
    const isOver = durationMs !== undefined && performance.now() - this.#startedMs >= durationMs;
    return this.#isFull || isOver || (count !== undefined && this.#count >= count);
  }

  add(packet: CapturedPacket): void {
    if (this.isDone) return;
    add(this.#received, packet.interface, 1);
    const block = packetBlock({ ...packet, parts: cut(packet.parts, this.request.snapLength) });
    const { sizeBytes } = this.request;
    if (sizeBytes !== undefined && this.#bytes + block.length + ENDING_BYTES > sizeBytes) {
      this.#isFull = true;
      return;
    }
    if (this.#sink.waiting > WAITING_MAX_BYTES) return add(this.#dropped, packet.interface, 1);
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
  }

  end(lost: number): void {
    this.#writeStatistics(lost);
    this.#sink.end();
  }

  #writeStatistics(lost: number): void {
    const toUs = (performance.timeOrigin + performance.now()) * 1000;
    const fromUs = (performance.timeOrigin + this.#startedMs) * 1000;
    // Of those that the workers could not pass on nobody knows the interface: they stand at both.
    const unseen = lost - this.#lostBefore;
    INTERFACES.forEach((_, index) => {
      const [received, dropped] = [this.#received[index] ?? 0, (this.#dropped[index] ?? 0) + unseen];
      this.#write(statisticsBlock({ interface: index, fromUs, toUs, received, dropped }));
    });
  }

  #write(block: Uint8Array): void {
    this.#bytes += block.length;
    this.#sink.write(block);
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
