// The captures of a proxy: has the workers copy what somebody wants to see, and writes it as pcapng to each who asked.
// Promises: nothing is copied while nobody captures; whoever does not read loses packets, which his file says, and holds
// up neither workers nor others.

import { SapwoodError } from "../../base/errors.ts";
import { CAPTURE_MAX, type CaptureOrders, CapturePoint } from "../../dataplane/capture/capture-contract.ts";
import * as CaptureRecord from "../../dataplane/capture/capture-record.ts";
import { createRing, RingReader } from "../../dataplane/capture/capture-ring.ts";
import { packetKey } from "../../dataplane/capture/packet-match.ts";
import type { Tables } from "../../model/tables.ts";
import { ADDRESS_SIZE } from "../../net/address.ts";
import { addressKey } from "../../net/address-key.ts";
import { type ByteSink, ByteStream } from "./byte-stream.ts";
import { CaptureFile } from "./capture-file.ts";
import { CaptureNames, commentOf } from "./capture-names.ts";
import { type CaptureRequest, checkParties, filterOf } from "./capture-request.ts";
import { type OuterEnd, outerHeaders } from "./outer-headers.ts";

/** Of pcapng, which has none of its own. */
export const CAPTURE_CONTENT_TYPE = "application/x-pcapng";
const LOOK_INTERVAL_MS = 20;
/** Packets that one look takes from a worker, so that others who wait for this thread get their turn. */
const LOOK_MAX = 2048;
/** Tables that change all the time are taken over so often. */
const TABLES_INTERVAL_MS = 1000;
const NO_TARGET = "\0".repeat(ADDRESS_SIZE);

interface CapturesOptions {
  readonly workers: number;
  readonly hand: (captures: CaptureOrders | undefined) => Promise<unknown>;
  readonly tables: () => Tables;
  /** This node's own end of the tunnel. */
  readonly own: OuterEnd;
  readonly version: string;
  readonly onFailure: (error: unknown) => void;
}

export class Captures {
  readonly #options: CapturesOptions;
  readonly #files = new Map<number, CaptureFile>(); // by bit
  #rings: readonly SharedArrayBuffer[] = [];
  #readers: readonly RingReader[] = [];
  #looking: NodeJS.Timeout | undefined;
  #lookingAgain: NodeJS.Immediate | undefined;
  #tables: Tables | undefined; // that filters and names are of
  #tablesMs = 0; // when they were taken over
  #names = new CaptureNames({ nodes: [], services: [] });

  constructor(options: CapturesOptions) {
    this.#options = options;
  }

  /** Throws usage, not-found, or capacity-exceeded. What passes after the stream's first byte is captured. */
  open(request: CaptureRequest): ByteStream {
    checkParties(request, this.#options.tables());
    this.#freeBit();
    return new ByteStream(CAPTURE_CONTENT_TYPE, (sink) => this.#start(request, sink));
  }

  /** Ends all captures; their files are whole. */
  close(): void {
    for (const [bit, file] of [...this.#files]) this.#stop(bit, file);
  }

  #start(request: CaptureRequest, sink: ByteSink): () => void {
    const bit = this.#freeBit();
    if (this.#rings.length === 0) {
      this.#rings = Array.from({ length: this.#options.workers }, () => createRing());
      this.#readers = this.#rings.map((ring) => new RingReader(ring));
    }
    const file = new CaptureFile(request, sink, this.#options.version);
    this.#files.set(bit, file);
    this.#looking ??= setInterval(() => this.#look(), LOOK_INTERVAL_MS);
    void this.#order().then(() => this.#begin(bit, file));
    return () => this.#stop(bit, file);
  }

  /** All workers know what is wanted. */
  #begin(bit: number, file: CaptureFile): void {
    if (this.#files.get(bit) !== file) return; // its client has left
    while (this.#drain()); // what an earlier capture with this bit wanted
    file.begin(this.#lost);
  }

  #stop(bit: number, file: CaptureFile): void {
    if (this.#files.get(bit) !== file) return;
    if (file.hasRoom) this.#drain(); // what passed until now
    file.end(this.#lost);
    this.#files.delete(bit);
    void this.#order();
    if (this.#files.size > 0) return;
    clearInterval(this.#looking);
    clearImmediate(this.#lookingAgain);
    this.#looking = undefined;
  }

  #freeBit(): number {
    for (let bit = 0; bit < CAPTURE_MAX; bit++) if (!this.#files.has(bit)) return bit;
    throw new SapwoodError("capacity-exceeded", `At most ${CAPTURE_MAX} captures may run at once; so many do.`);
  }

  get #lost(): number {
    return this.#readers.reduce((sum, { lost }) => sum + lost, 0);
  }

  /** Tells the workers what is wanted now; resolves when they know. */
  async #order(): Promise<void> {
    const tables = this.#options.tables();
    if (tables !== this.#tables) this.#names = new CaptureNames(tables);
    this.#tables = tables;
    this.#tablesMs = performance.now();
    const filters = [...this.#files].map(([bit, { request }]) => filterOf(request, bit, tables));
    const orders = filters.length === 0 ? undefined : { rings: this.#rings, filters };
    await this.#options.hand(orders).catch(this.#options.onFailure);
  }

  #look(): void {
    const isOld = performance.now() - this.#tablesMs >= TABLES_INTERVAL_MS;
    if (isOld && this.#options.tables() !== this.#tables) void this.#order();
    // Packets that nobody could take stay with the workers, who count what finds no room there: that costs least.
    const isMore = [...this.#files.values()].some(({ hasRoom }) => hasRoom) && this.#drain();
    for (const [bit, file] of this.#files) {
      if (file.isDone) this.#stop(bit, file);
      else file.tellLosses(this.#lost);
    }
    if (!isMore || this.#files.size === 0) return;
    clearImmediate(this.#lookingAgain);
    this.#lookingAgain = setImmediate(() => this.#look());
  }

  /** Hands packets of all workers to those who capture. Tells whether more are there. */
  #drain(): boolean {
    let isMore = false;
    for (const reader of this.#readers) {
      if (reader.drain(LOOK_MAX, (record, packet) => this.#take(record, packet))) isMore = true;
    }
    for (const file of this.#files.values()) file.flush();
    return isMore;
  }

  #take(record: DataView, bytes: Uint8Array): void {
    const point = record.getUint8(CaptureRecord.POINT_AT) as CapturePoint;
    const isTunnel = point === CapturePoint.tunnelIn || point === CapturePoint.tunnelOut;
    const index = isTunnel ? 1 : 0;
    const captures = record.getUint8(CaptureRecord.CAPTURES_AT);
    const takers = [...this.#files].filter(([bit, file]) => (captures & (1 << bit)) !== 0 && file.accepts(index));
    if (takers.length === 0) return;
    const captured = bytes.slice(0, record.getUint32(CaptureRecord.CAPTURED_AT, true));
    const length = record.getUint32(CaptureRecord.LENGTH_AT, true);
    const outer = isTunnel ? this.#outerOf(record, point, captured, length) : undefined;
    const packet = {
      interface: index,
      timeUs: record.getFloat64(CaptureRecord.TIME_AT, true),
      parts: outer === undefined ? [captured] : [outer, captured],
      length: length + (outer?.length ?? 0),
      isInbound: point === CapturePoint.tunIn || point === CapturePoint.tunnelIn,
      comment: this.#commentOf(record, captured),
    };
    for (const [, file] of takers) file.add(packet);
  }

  #outerOf(record: DataView, point: CapturePoint, payload: Uint8Array, length: number): Uint8Array {
    const { own } = this.#options;
    const peer = {
      address: bytesOf(record).slice(CaptureRecord.PEER_AT, CaptureRecord.PEER_AT + ADDRESS_SIZE),
      port: record.getUint16(CaptureRecord.PEER_PORT_AT, true),
    };
    return point === CapturePoint.tunnelIn
      ? outerHeaders(peer, own, payload, length)
      : outerHeaders(own, peer, payload, length);
  }

  #commentOf(record: DataView, packet: Uint8Array): string {
    const { destination = "" } = packetKey(packet, packet.length) ?? {};
    const target = addressKey(bytesOf(record), CaptureRecord.TARGET_AT);
    const [verdict, reason] = [record.getUint8(CaptureRecord.VERDICT_AT), record.getUint8(CaptureRecord.REASON_AT)];
    return commentOf(this.#names.said(verdict, reason, destination, target === NO_TARGET ? "" : target));
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: DataView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
