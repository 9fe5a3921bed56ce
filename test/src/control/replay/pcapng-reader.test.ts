// Reading pcapng of other writers, and the order of packets of several workers.
import { describe, expect, test } from "vitest";
import { interfaceBlock, packetBlock, sectionBlock } from "../../../../src/control/observe/pcapng.ts";
import { PcapngReader } from "../../../../src/control/replay/pcapng-reader.ts";
import { TimeOrder } from "../../../../src/control/replay/time-order.ts";
import { Random } from "../../../support/random.ts";

const PACKET = {
  ...{ interface: 0, timeUs: 2 ** 50 + 7, parts: [Uint8Array.of(1, 2, 3)], length: 9 },
  ...{ isInbound: true, comment: "verdict=sent; service=ü" },
};
const FILE = Buffer.concat([sectionBlock("test"), interfaceBlock("tun", 0), packetBlock(PACKET), packetBlock(PACKET)]);
const READ = {
  ...{ interface: { name: "tun", linkType: 101 }, timeUs: 2 ** 50 + 7, bytes: Buffer.from([1, 2, 3]), length: 9 },
  ...{ direction: "inbound", comment: "verdict=sent; service=ü" },
};

function read(pieces: readonly Buffer[]) {
  const reader = new PcapngReader("a.pcapng");
  const packets = pieces.flatMap((piece) => [...reader.add(piece)]);
  reader.end();
  return packets;
}

describe("a reader of pcapng", () => {
  test.each([1, 2, 3])("reads what the writer wrote, in pieces of any length (seed %i)", (seed) => {
    const random = new Random(seed);
    const pieces: Buffer[] = [];
    for (let at = 0; at < FILE.length; at += pieces.at(-1)?.length ?? 0) {
      pieces.push(FILE.subarray(at, at + 1 + random.below(40)));
    }
    expect(read(pieces)).toMatchObject([
      { ...READ, number: 1 },
      { ...READ, number: 2 },
    ]);
  });

  test("reads big-endian sections, and times in nanoseconds", () => {
    const block = (type: number, ...words: readonly number[]): Buffer => {
      const length = 4 * words.length + 12;
      const bytes = Buffer.alloc(length);
      for (const [i, word] of [type, length, ...words, length].entries()) bytes.writeUInt32BE(word, 4 * i);
      return bytes;
    };
    const section = block(0x0a0d0d0a, 0x1a2b3c4d, 0x00010000, 0xffffffff, 0xffffffff);
    const name = [0x00020003, 0x74756e00]; // "tun"
    const described = block(1, 101 << 16, 0, ...name, 0x00090001, 9 << 24, 0);
    const packet = block(6, 0, 1, 2000, 2, 2, 0x45000000, 0x00020004, 2, 0);
    expect(read([Buffer.concat([section, described, packet])])).toMatchObject([
      {
        ...{ interface: { name: "tun", linkType: 101 }, timeUs: (2 ** 32 + 2000) / 1000, length: 2 },
        ...{ bytes: Buffer.from([0x45, 0]), direction: "outbound", comment: "" },
      },
    ]);
  });

  test("puts a large block together once, however small its pieces are, and packets keep nothing of what is around them", () => {
    const large = packetBlock({ ...PACKET, comment: "c".repeat(60_000), parts: [new Uint8Array(2 ** 24 - 70_000)] });
    const file = Buffer.concat([FILE, large, packetBlock(PACKET)]);
    const pieces = Array.from({ length: Math.ceil(file.length / 256) }, (_, i) =>
      file.subarray(256 * i, 256 * (i + 1)),
    );
    const [first, , longest, last] = read(pieces); // to copy what came before with each piece would take minutes
    expect(longest).toMatchObject({ number: 3, comment: "c".repeat(4096) });
    for (const packet of [first, last]) expect(packet?.bytes.buffer.byteLength).toBeLessThanOrEqual(65_536);
  });

  test.each([1, 2, 3, 4])("refuses spoilt files with a sentence, or reads them (seed %i)", (seed) => {
    const random = new Random(seed);
    let refused = 0;
    for (let i = 0; i < 2000; i++) {
      const spoilt = Buffer.from(FILE);
      for (let n = 1 + random.below(3); n > 0; n--) spoilt[random.below(spoilt.length)] = random.below(256);
      try {
        read([spoilt.subarray(0, 1 + random.below(spoilt.length))]);
      } catch (error) {
        refused += 1;
        expect(error).toMatchObject({ code: "capture-unreadable" });
      }
    }
    expect(refused).toBeGreaterThan(0);
  });
});

test("packets of several workers are put in the order of their times, and as many are kept as there may be", () => {
  const random = new Random(5);
  const order = new TimeOrder<{ readonly timeUs: number; readonly bytes: Uint8Array }>();
  const times: number[] = [];
  let kept = 0;
  for (let look = 0; look < 400; look++) {
    for (let worker = 0; worker < 3; worker++) {
      const own = Array.from({ length: 20 }, () => look * 20_000 + random.below(20_000)).sort((a, b) => a - b);
      for (const timeUs of own) {
        kept += 1;
        for (const ready of order.add({ timeUs, bytes: new Uint8Array(1) })) {
          times.push(ready.timeUs);
          kept -= 1;
        }
      }
    }
    expect(kept).toBeLessThanOrEqual(2048);
  }
  for (const { timeUs } of order.rest()) times.push(timeUs);
  expect(times).toHaveLength(24_000);
  expect(times).toEqual([...times].sort((a, b) => a - b));
});
