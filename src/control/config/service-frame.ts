// Packed services on their way from the process that read them: a frame for each, and some that say something of them.
// Numbers are little-endian:
//    0 length of what follows   4 kind
//    of a service: 5 length of its name   9 length of its health checks   13 length of its bytes
//                  17 name and health checks, each as JSON, its bytes, and the origin
//    of one that is in force: 5 its place among those

import { LENGTH_BYTES } from "../../base/frame-reader.ts";
import { PackedService } from "../../model/packed-service.ts";
import type { Service } from "../../model/tables.ts";
import type { FrameBuffer } from "./frame-buffer.ts";

export const FrameKind = {
  service: 0,
  kept: 1,
  /** The services before it do not count. */
  restart: 2,
  end: 3,
} as const;

const KIND = 4;
const INDEX = 5;
const NAME_LENGTH = 5;
const HEALTH_LENGTH = 9;
const BYTES_LENGTH = 13;
const HEAD = 17;

/** A frame without anything else. */
export function frameOf(kind: number): Buffer {
  return Buffer.from([1, 0, 0, 0, kind]);
}

/** The frame of a service that is made part by part: its bytes and its origin come last. */
export class ServiceFrame {
  readonly #out: FrameBuffer;
  #from = 0;
  #bytesFrom = 0;

  constructor(out: FrameBuffer) {
    this.#out = out;
  }

  /** Begins the frame, and again if it was begun. */
  begin(): void {
    this.#out.begin();
    this.#from = this.#out.end;
    this.#out.u32(0);
    this.#out.u8(FrameKind.service);
    for (let at = NAME_LENGTH; at < HEAD; at += LENGTH_BYTES) this.#out.u32(0);
  }

  /** Both are there as JSON; health checks may be missing. */
  head(writeName: () => void, health: string): void {
    writeName();
    const nameEnd = this.#out.end;
    this.#out.text(health);
    this.#bytesFrom = this.#out.end;
    this.#out.putU32(this.#from + NAME_LENGTH, nameEnd - this.#from - HEAD);
    this.#out.putU32(this.#from + HEALTH_LENGTH, this.#bytesFrom - nameEnd);
  }

  /** Its bytes are complete. */
  finish(origin: string): void {
    this.#out.putU32(this.#from + BYTES_LENGTH, this.#out.end - this.#bytesFrom);
    this.#out.text(origin);
    this.#out.finish(this.#from);
  }

  /** All but the end. */
  whole(service: Service): void {
    const { name, health, bytes } = PackedService.of(service);
    this.head(() => this.#out.text(JSON.stringify(name)), health === undefined ? "" : JSON.stringify(health));
    this.#out.packed(bytes);
  }
}

/** One that is in force, in the place of a service. */
export function writeKept(out: FrameBuffer, index: number): void {
  out.begin();
  const from = out.end;
  out.u32(0);
  out.u8(FrameKind.kept);
  out.u32(index);
  out.finish(from);
}

export function kindOf(frame: Buffer): number {
  return frame[KIND] ?? 0;
}

/** Of a frame of kind `kept`. */
export function keptIndex(frame: Buffer): number {
  return frame.readUInt32LE(INDEX);
}

/** Of a frame of kind `service`. */
export function serviceOf(frame: Buffer): PackedService {
  const healthAt = HEAD + frame.readUInt32LE(NAME_LENGTH);
  const bytesAt = healthAt + frame.readUInt32LE(HEALTH_LENGTH);
  const originAt = bytesAt + frame.readUInt32LE(BYTES_LENGTH);
  return new PackedService(
    JSON.parse(frame.toString("utf8", HEAD, healthAt)),
    healthAt === bytesAt ? undefined : JSON.parse(frame.toString("utf8", healthAt, bytesAt)),
    frame.toString("latin1", bytesAt, originAt),
    originAt === frame.length ? undefined : frame.toString("latin1", originAt),
  );
}
