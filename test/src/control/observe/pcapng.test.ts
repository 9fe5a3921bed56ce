// The form of a capture's file: blocks, options, and the outer headers that are made again.
import { describe, expect, test } from "vitest";
import { DropReason, Verdict } from "../../../../assembly/shared/verdicts.ts";
import { WholeBlocks } from "../../../../src/cli/whole-blocks.ts";
import { CaptureFile } from "../../../../src/control/observe/capture-file.ts";
import { CaptureNames, commentOf } from "../../../../src/control/observe/capture-names.ts";
import { CAPTURE_PARAMETERS } from "../../../../src/control/observe/capture-request.ts";
import { outerHeaders } from "../../../../src/control/observe/outer-headers.ts";
import {
  type CapturedPacket,
  packetBlock,
  sectionBlock,
  statisticsBlock,
} from "../../../../src/control/observe/pcapng.ts";
import { parseAddress } from "../../../../src/net/address.ts";
import { keyOfText } from "../../../../src/net/address-key.ts";
import { given } from "../../../support/given.ts";
import { Random } from "../../../support/random.ts";
import { sumWords } from "../../../support/reference/checksum.ts";

const PACKET: CapturedPacket = {
  interface: 1,
  timeUs: 2 ** 32 + 7,
  parts: [Uint8Array.of(1, 2), Uint8Array.of(3)],
  length: 9,
  isInbound: false,
  comment: "four",
};

function words(block: Uint8Array): number[] {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  return Array.from({ length: block.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/** What is one after the other in a file. */
function blocksOf(file: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    blocks.push(Buffer.from(file.subarray(at, at + file.readUInt32LE(at + 4))));
  }
  return blocks;
}

describe("blocks", () => {
  test("a packet has its time, its lengths, its comment and its direction", () => {
    const comment = words(Buffer.from("four"))[0];
    expect(words(packetBlock(PACKET))).toEqual([
      ...[6, 56, 1, 1, 7, 3, 9, 0x00030201],
      ...[1 | (4 << 16), comment, 2 | (4 << 16), 2, 0, 56],
    ]);
  });

  test("all end with their length and are multiples of four bytes", () => {
    const statistics = { interface: 0, fromUs: 1, toUs: 2, received: 3, dropped: 2 ** 33 };
    for (const block of [sectionBlock("sapwood"), statisticsBlock(statistics), packetBlock(PACKET)]) {
      expect(block.length % 4).toBe(0);
      expect([words(block)[1], words(block).at(-1)]).toEqual([block.length, block.length]);
    }
  });

  test.each([1, 2, 3])("of a stream in pieces only whole ones are passed on (seed %i)", (seed) => {
    const random = new Random(seed);
    const blocks = Array.from({ length: 50 }, () =>
      packetBlock({ ...PACKET, parts: [random.bytes(random.below(300))] }),
    );
    const stream = Buffer.concat(blocks);
    const lengths = blocks.map((_, i) => Buffer.concat(blocks.slice(0, i)).length);
    lengths.push(stream.length);
    const whole = new WholeBlocks();
    const passed: Buffer[] = [];
    for (let at = 0; at < stream.length; ) {
      const size = 1 + random.below(200);
      passed.push(whole.add(stream.subarray(at, at + size)));
      at += size;
      expect(lengths).toContain(Buffer.concat(passed).length);
    }
    expect(Buffer.concat(passed)).toEqual(stream);
  });

  test("what is no block is refused", () => {
    expect(() => new WholeBlocks().add(Buffer.alloc(16))).toThrowError(
      "Expected a pcapng block of 12 bytes or more, found 0.",
    );
  });
});

describe.each([
  ["192.0.2.1", "192.0.2.2", 28],
  ["2001:db8::1", "2001:db8::2", 48],
  ["2001:db8::1", "192.0.2.2", 48],
])("outer headers from %s to %s", (from, to, size) => {
  const end = (address: string, port: number) => ({ address: parseAddress(address) ?? new Uint8Array(16), port });
  const payload = new Random(1).bytes(33);
  const headers = outerHeaders(end(from, 50103), end(to, 4000), payload, payload.length);

  test("have ports and lengths", () => {
    const view = new DataView(headers.buffer);
    expect(headers.length).toBe(size);
    expect([view.getUint16(size - 8), view.getUint16(size - 6), view.getUint16(size - 4)]).toEqual([50103, 4000, 41]);
    expect(view.getUint16(size === 28 ? 2 : 4)).toBe(size === 28 ? 61 : 41);
  });

  test("have right checksums", () => {
    if (size === 28) {
      expect(sumWords(headers.subarray(0, 20))).toBe(0xffff);
      return;
    }
    const pseudo = Buffer.concat([headers.subarray(8, 40), Buffer.from([0, 0, 0, 41, 0, 0, 0, 17])]);
    expect(sumWords(Buffer.concat([pseudo, headers.subarray(40), payload]))).toBe(0xffff);
  });
});

describe("a capture's file", () => {
  function open(parameters: Readonly<Record<string, string>>) {
    const written: Uint8Array[] = [];
    const sink = {
      waiting: 0,
      hasEnded: false,
      write: (bytes: Uint8Array) => void written.push(bytes),
      end: () => {
        sink.hasEnded = true;
      },
    };
    const file = new CaptureFile(CAPTURE_PARAMETERS.parse(parameters), sink, "1");
    const offer = (packet: CapturedPacket): void => {
      if (file.accepts(packet.interface)) file.add(packet);
    };
    return { file, offer, sink, blocks: () => blocksOf(Buffer.concat(written)) };
  }
  const types = (blocks: readonly Uint8Array[]): number[] => blocks.map((block) => words(block)[0] ?? 0);

  test("begins with a section and two interfaces, and ends with their statistics", () => {
    const { file, offer, blocks, sink } = open({});
    offer(PACKET);
    file.begin(5);
    offer(PACKET);
    file.end(7);
    expect(types(blocks())).toEqual([0x0a0d0d0a, 1, 1, 6, 5, 5]);
    expect(sink.hasEnded).toBe(true);
    // Of the second interface: one received, and two that the workers could not pass on.
    const statistics = words(given(blocks()[5]));
    expect(statistics.slice(-8, -2)).toEqual([4 | (8 << 16), 1, 0, 5 | (8 << 16), 2, 0]);
  });

  test.each([
    [{ count: "2" }, 2],
    [{ sizeBytes: "400" }, 2],
  ])("with %o ends in time", (parameters, packets) => {
    const { file, offer, blocks } = open(parameters);
    file.begin(5);
    for (let i = 0; i < 5; i++) offer(PACKET);
    expect(file.isDone).toBe(true);
    file.flush();
    expect(types(blocks()).filter((type) => type === 6)).toHaveLength(packets);
  });

  test("leaves out what a client does not read, and counts it", () => {
    const { file, offer, blocks, sink } = open({});
    file.begin(5);
    sink.waiting = 2 ** 30;
    offer(PACKET);
    expect(file.hasRoom).toBe(false);
    sink.waiting = 0;
    offer(PACKET);
    file.end(5);
    expect(types(blocks()).filter((type) => type === 6)).toHaveLength(1);
    const statistics = words(given(blocks().at(-1)));
    expect(statistics.slice(-8, -2)).toEqual([4 | (8 << 16), 2, 0, 5 | (8 << 16), 1, 0]);
  });

  test("cuts packets to its snap length, over all pieces", () => {
    const { file, offer, blocks } = open({ snapLength: "2" });
    file.begin(5);
    offer({ ...PACKET, parts: [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)] });
    file.flush();
    expect(words(given(blocks().at(-1))).slice(5, 8)).toEqual([2, 9, 0x0201]);
  });
});

test("comments name verdict, reason, service and instance", () => {
  const instance = {
    node: "b",
    weight: 1,
    draining: false,
    namespaceAddresses: ["10.18.3.1"],
    instanceAddresses: ["10.30.0.3"],
  };
  const service = {
    name: "B",
    addresses: [{ address: "10.30.0.1", policy: "closest" }],
    instances: [{ number: 4, ...instance }],
  };
  const names = new CaptureNames({ nodes: [], services: [service] });
  const key = (text: string): string => keyOfText(text) ?? "";
  const { sent, dropped, taken } = Verdict;
  expect(commentOf(names.said(sent, 0, key("10.30.0.1"), key("10.18.3.1")))).toBe(
    "verdict=sent; service=B; instance=4",
  );
  expect(commentOf(names.said(sent, 0, key("10.30.0.1"), ""))).toBe("verdict=sent; service=B");
  expect(commentOf(names.said(dropped, DropReason.noNode, key("10.30.0.3"), ""))).toBe(
    "verdict=dropped; reason=noNode; service=B; instance=4",
  );
  expect(commentOf(names.said(taken, 0, "", ""))).toBe("verdict=taken");
});
