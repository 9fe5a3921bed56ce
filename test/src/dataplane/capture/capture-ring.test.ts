// The ring between a worker and control: what is put in comes out, in order and whole; what has no room is counted.
import { describe, expect, test } from "vitest";
import * as CaptureRecord from "../../../../src/dataplane/capture/capture-record.ts";
import { createRing, RingReader, RingWriter } from "../../../../src/dataplane/capture/capture-ring.ts";
import { expectSame } from "../../../support/quick-expect.ts";
import { Random } from "../../../support/random.ts";

const SIZE = 4096;

function put(writer: RingWriter, packet: Uint8Array): boolean {
  const at = writer.reserve(packet.length);
  if (at < 0) return false;
  writer.record.setUint32(at + 8, packet.length, true);
  writer.content.set(packet, at + CaptureRecord.HEADER_SIZE);
  writer.commit(at, packet.length);
  return true;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function drain(reader: RingReader): Uint8Array[] {
  const packets: Uint8Array[] = [];
  reader.drain(Infinity, (record, bytes) => packets.push(bytes.slice(0, record.getUint32(8, true))));
  return packets;
}

describe("a ring", () => {
  test.each([1, 2, 3])("gives back what fits, many times around (seed %i)", (seed) => {
    const random = new Random(seed);
    const ring = createRing(SIZE);
    let writer = new RingWriter(ring);
    const reader = new RingReader(ring);
    let refused = 0;
    let kept: Uint8Array[] = [];
    for (let round = 0; round < 1000; round++) {
      const packet = random.bytes(random.below(1200));
      if (put(writer, packet)) kept.push(packet);
      else refused += 1;
      if (random.chance(0.3)) {
        expectSame(drain(reader).map(hex).join("\n"), kept.map(hex).join("\n"), `round ${round}`);
        kept = [];
      }
      if (random.chance(0.01)) writer = new RingWriter(ring); // of a worker that was started again
    }
    expect(refused).toBeGreaterThan(0);
    expect(reader.lost).toBe(refused);
  });

  test("holds nothing that nobody reads, and takes the next ones when somebody does", () => {
    const ring = createRing(SIZE);
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    const packet = new Uint8Array(1000).fill(7);
    const taken = Array.from({ length: 10 }, () => put(writer, packet)).filter((isTaken) => isTaken).length;
    expect(taken).toBe(3);
    expect(reader.lost).toBe(7);
    expect(drain(reader)).toHaveLength(3);
    expect(put(writer, packet)).toBe(true);
    expect(drain(reader)).toEqual([packet]);
    expect(drain(reader)).toEqual([]);
  });

  test("gives no more at once than it is asked for, and tells that more are there", () => {
    const ring = createRing(SIZE);
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    for (let packet = 0; packet < 5; packet++) put(writer, Uint8Array.of(packet));
    const taken: number[] = [];
    const take = (_: DataView, packet: Uint8Array): void => void taken.push(packet[0] ?? -1);
    expect([reader.drain(2, take), [...taken]]).toEqual([true, [0, 1]]);
    expect([reader.drain(3, take), [...taken]]).toEqual([false, [0, 1, 2, 3, 4]]);
    expect(reader.drain(3, take)).toBe(false);
  });
});
