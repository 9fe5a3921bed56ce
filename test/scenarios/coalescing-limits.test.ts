// Received packets that belong together go to the TUN in one write, and fall apart into what they were.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { corrupt, FLAG, type Ipv4Fields, packet, type TcpFields } from "../support/packet-builder.ts";
import { A1, B1, B2, FROM, onNodeA, ROUND_ROBIN } from "../support/world.ts";

const SIZE = 100;

function joining(
  offloads = HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP | HeaderLayout.OFFLOAD_TUN_UDP,
): Promise<EngineFixture> {
  return onNodeA({ memory: { offloads } });
}

/** Segment number `index` of one connection. */
function segment(index: number, tcp: Partial<TcpFields> = {}, ip: Partial<Ipv4Fields> = {}, size = SIZE): Uint8Array {
  return packet()
    .ipv4({ src: B1.instanceV4, dst: A1.v4, id: 500 + index, ...ip })
    .tcp({ sport: 80, dport: 40000, seq: 1000 + index * SIZE, flags: FLAG.ACK, ...tcp })
    .payload(size)
    .bytes();
}

function segment6(index: number, hopLimit = 64, flowLabel = 5): Uint8Array {
  return packet()
    .ipv6({ src: B1.instanceV6, dst: A1.v6, hopLimit, flowLabel })
    .tcp({ sport: 80, dport: 40000, seq: 1000 + index * SIZE })
    .payload(SIZE)
    .bytes();
}

function datagram(index: number, size = SIZE, checksum?: number): Uint8Array {
  const udp = checksum === undefined ? { sport: 53, dport: 40000 } : { sport: 53, dport: 40000, checksum };
  return packet()
    .ipv4({ src: B1.instanceV4, dst: A1.v4, id: 500 + index })
    .udp(udp)
    .payload(size)
    .bytes();
}

/** How many writes the packets take, each a message of its own; the fixture compares what is in them. */
async function writes(packets: readonly Uint8Array[], offloads?: number): Promise<number> {
  const fixture = await joining(offloads);
  const result = fixture.ingress(...packets.map((bytes) => ({ ...FROM.b, bytes })));
  expect(result.counts.ingressPackets).toBe(packets.length);
  return result.frames.length;
}

const TIMESTAMP = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
const LATER_TIMESTAMP = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 2];

const CASES: readonly (readonly [what: string, writeCount: number, packets: readonly Uint8Array[]])[] = [
  ["segments in a row are one write", 1, [segment(0), segment(1), segment(2), segment(3)]],
  ["a shorter segment ends the write", 2, [segment(0), segment(1, {}, {}, 40), segment(2, { seq: 1140 })]],
  ["a longer segment begins another", 2, [segment(0, {}, {}, 40), segment(1, { seq: 1040 })]],
  ["PSH ends the write", 2, [segment(0), segment(1, { flags: FLAG.ACK | FLAG.PSH }), segment(2)]],
  ["a gap in the sequence", 2, [segment(0), segment(2, {}, { id: 501 })]],
  ["a repetition", 2, [segment(0), segment(0, {}, { id: 501 })]],
  ["the wrong order", 2, [segment(1), segment(0, {}, { id: 502 })]],
  ["another acknowledgment", 2, [segment(0), segment(1, { ack: 7 })]],
  ["another window", 2, [segment(0), segment(1, { window: 7 })]],
  ["another urgent pointer", 2, [segment(0), segment(1, { urgent: 7 })]],
  ["other ports", 2, [segment(0), segment(1, { dport: 40001 })]],
  ["other options", 2, [segment(0, { options: TIMESTAMP }), segment(1, { options: LATER_TIMESTAMP })]],
  ["the same options", 1, [segment(0, { options: TIMESTAMP }), segment(1, { options: TIMESTAMP })]],
  ["more options", 2, [segment(0), segment(1, { options: TIMESTAMP })]],
  ["another TTL", 2, [segment(0), segment(1, {}, { ttl: 63 })]],
  ["another TOS", 2, [segment(0), segment(1, {}, { tos: 2 })]],
  ["another don't-fragment bit", 2, [segment(0), segment(1, {}, { fragment: 0 })]],
  ["an id that is not the next", 2, [segment(0), segment(1, {}, { id: 900 })]],
  ["an id that wraps", 1, [segment(0, {}, { id: 0xffff }), segment(1, {}, { id: 0 })]],
  ["IPv4 options", 2, [segment(0, {}, { options: [1, 1, 1, 0] }), segment(1, {}, { options: [1, 1, 1, 0] })]],
  ["a sequence that wraps", 1, [segment(0, { seq: 0xffffffc0 }), segment(1, { seq: 36 })]],
  ["a wrong TCP checksum", 2, [segment(0), corrupt(segment(1), 60, 0x99)]],
  ["a wrong IPv4 header checksum", 2, [segment(0), corrupt(segment(1), 10, 0, 0)]],
  ["a wrong checksum in front", 2, [corrupt(segment(0), 60, 0x99), segment(1)]],
  ["acknowledgments without data", 2, [segment(0, {}, {}, 0), segment(0, { ack: 9 }, { id: 501 }, 0)]],
  ["FIN", 2, [segment(0), segment(1, { flags: FLAG.ACK | FLAG.FIN })]],
  ["SYN with data", 2, [segment(0, { flags: FLAG.SYN }), segment(1)]],
  ["URG", 2, [segment(0), segment(1, { flags: FLAG.ACK | FLAG.URG })]],
  ["ECE", 2, [segment(0), segment(1, { flags: FLAG.ACK | FLAG.ECE })]],
  ["CWR", 2, [segment(0), segment(1, { flags: FLAG.ACK | FLAG.CWR })]],
  ["another flow in between", 3, [segment(0), datagram(0), segment(1)]],
  ["IPv6 segments", 1, [segment6(0), segment6(1), segment6(2)]],
  ["another hop limit", 2, [segment6(0), segment6(1, 63)]],
  ["another flow label", 2, [segment6(0), segment6(1, 64, 6)]],
  ["datagrams of one size", 1, [datagram(0), datagram(1), datagram(2)]],
  ["a shorter datagram ends the write", 2, [datagram(0), datagram(1, 40), datagram(2)]],
  ["datagrams without checksum", 2, [datagram(0, SIZE, 0), datagram(1, SIZE, 0)]],
];

test.each(CASES)("%s: %i writes", async (_what, writeCount, packets) => {
  expect(await writes(packets)).toBe(writeCount);
});

test("a GRO message of 65 datagrams is two writes, because the kernel takes 64", async () => {
  const fixture = await joining();
  const bytes = Buffer.concat(Array.from({ length: 65 }, (_, i) => datagram(i)));
  expect(fixture.ingress({ ...FROM.b, bytes, segmentSize: SIZE + 28 }).frames.length).toBe(2);
});

test("a super-packet never exceeds 65,535 bytes", async () => {
  const fixture = await joining();
  const size = 1400;
  const parts = Array.from({ length: 60 }, (_, i) => segment(i, { seq: 1000 + i * size }, {}, size));
  const first = Buffer.concat(parts.slice(0, 45));
  const second = Buffer.concat(parts.slice(45));
  const result = fixture.ingress(
    { ...FROM.b, bytes: first, segmentSize: size + 40 },
    { ...FROM.b, bytes: second, segmentSize: size + 40 },
  );
  expect(result.frames.length).toBe(2);
  for (const frame of result.frames) expect(frame.length).toBeLessThanOrEqual(10 + 65_535);
  expect(result.tunWrites.length).toBe(60);
});

describe("answers", () => {
  test("are joined after their translation", async () => {
    const fixture = await joining();
    fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN }).frame());
    const result = fixture.ingress(...[0, 1, 2].map((i) => ({ ...FROM.b, bytes: segment(i) })));
    expect(result.frames.length).toBe(1);
  });

  test("a dropped packet in between changes nothing", async () => {
    const fixture = await joining();
    const result = fixture.ingress(
      { ...FROM.b, bytes: segment(0) },
      { ...FROM.c, bytes: segment(1) },
      { ...FROM.b, bytes: new Uint8Array(0) },
      { ...FROM.b, bytes: segment(1) },
    );
    expect(result.frames.length).toBe(1);
    expect(result.counts).toMatchObject({ ingressPackets: 2, "ingressDrop.wrongNode": 1 });
  });

  test("a probe in between does not get into the write", async () => {
    const fixture = await joining();
    const probe = new Uint8Array(ProbeLayout.SIZE);
    probe.set([0x53, 0x57, 1, 1]);
    const result = fixture.ingress(
      { ...FROM.b, bytes: segment(0) },
      { ...FROM.b, bytes: probe },
      { ...FROM.b, bytes: segment(1) },
    );
    expect(result.tunWrites.length).toBe(2);
    expect(result.counts.probesAnswered).toBe(1);
  });
});

test("different senders' flows are not joined", async () => {
  const fixture = await joining();
  const other = packet().ipv4({ src: B2.instanceV4, dst: A1.v4, id: 501 }).tcp({ sport: 80, dport: 40000, seq: 1100 });
  const result = fixture.ingress({ ...FROM.b, bytes: segment(0) }, { ...FROM.c, bytes: other.payload(SIZE).bytes() });
  expect(result.frames.length).toBe(2);
});

test.each([
  ["nothing", HeaderLayout.OFFLOAD_UDP_GSO, 2, 2],
  ["TCP only", HeaderLayout.OFFLOAD_TUN_TCP, 1, 2],
  ["UDP only", HeaderLayout.OFFLOAD_TUN_UDP, 2, 1],
])("with the offloads for %s switched on", async (_what, offloads, tcp, udp) => {
  expect(await writes([segment(0), segment(1)], offloads)).toBe(tcp);
  expect(await writes([datagram(0), datagram(1)], offloads)).toBe(udp);
});

test("without UDP_SEGMENT every datagram is a message of its own", async () => {
  const fixture = await joining(0);
  const build = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80 }).payload(3000);
  const result = fixture.egress(build.offloadFrame({ gsoType: 1, gsoSize: 1000 }), build.frame());
  expect(result.messages.map((one) => one.datagrams.length)).toEqual([1, 1, 1, 1]);
});
