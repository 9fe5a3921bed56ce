// Packets of one flow reach the TUN as one frame, and the kernel makes of it, byte for byte, what came.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import {
  corrupt,
  FLAG,
  type Ipv4Fields,
  type Ipv6Fields,
  packet,
  type TcpFields,
  type UdpFields,
} from "../support/packet-builder.ts";
import { Random, testSeed } from "../support/random.ts";
import { receive } from "../support/receive.ts";
import { asMessages, type Ends, randomPackets } from "../support/received-streams.ts";
import { coalesce } from "../support/reference/coalescer.ts";
import { splitFrame } from "../support/reference/splitter.ts";
import type { Message } from "../support/reference/translator.ts";
import { A1, B1, FROM, onNodeA, ROUND_ROBIN } from "../support/world.ts";

const ALL = HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP | HeaderLayout.OFFLOAD_TUN_UDP;
const SEEDS = 24;
const PACKETS = 300;

/** An engine on node-a that knows flows of its workload to "b" with the client ports, so that answers are translated. */
async function engine(offloads: number, answered: readonly Ends[] = []): Promise<EngineFixture> {
  const fixture = await onNodeA({ memory: { offloads }, withoutTwin: true });
  for (const { dst, dport, sport, isTcp } of answered) {
    const ip = packet().ip(dst, dst === A1.v4 ? ROUND_ROBIN.b.v4 : ROUND_ROBIN.b.v6);
    const ports = { sport: dport, dport: sport };
    fixture.egress((isTcp ? ip.tcp(ports) : ip.udp(ports)).payload(1).frame());
  }
  return fixture;
}

function single(bytes: Uint8Array): Message {
  return { ...FROM.b, bytes };
}

/** Packets by flow, each flow's in their order. */
function byFlow(packets: readonly Uint8Array[]): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const bytes of packets) {
    const isV4 = (bytes[0] ?? 0) >> 4 === 4;
    const [addresses, ports, protocol] = isV4 ? [12, 20, bytes[9]] : [8, 40, bytes[6]];
    const hex = Buffer.from(bytes).toString("hex");
    const key = `${protocol} ${hex.slice(2 * addresses, 2 * (ports + 4))}`;
    flows.set(key, [...(flows.get(key) ?? []), hex]);
  }
  return flows;
}

const FLOWS: readonly Ends[] = [true, false].flatMap((isTcp) =>
  [80, 81].flatMap((sport) => [
    { src: B1.instanceV4, dst: A1.v4, sport, dport: 40000, isTcp },
    { src: B1.instanceV6, dst: A1.v6, sport, dport: 40000, isTcp },
  ]),
);
/** Half of them answer a call; the others only come in. */
const ANSWERED = FLOWS.filter((ends) => ends.sport === 80);

describe("random streams", () => {
  const first = testSeed(1);
  test.each(Array.from({ length: SEEDS }, (_, i) => first + i))("seed %i: the frames are the twin's", async (seed) => {
    const random = new Random(seed);
    const flows = Array.from({ length: random.between(1, 4) }, () => random.pick(FLOWS));
    const plain = await engine(0, ANSWERED);
    const joining = await engine(ALL, ANSWERED);
    for (let batch = 0; batch < 4; batch++) {
      const messages = asMessages(randomPackets(flows, random, PACKETS / 4), FROM.b, () => 64).slice(
        0,
        WorkerLayout.BATCH_SIZE / 2,
      );
      const delivered = receive(plain, messages).writes.map((write) => write.bytes.subarray(Virtio.SIZE));
      const frames = receive(joining, messages).writes.map((write) => Buffer.from(write.bytes).toString("hex"));
      expect(frames).toEqual(coalesce(delivered).map((bytes) => Buffer.from(bytes).toString("hex")));
    }
  });

  test.each(Array.from({ length: SEEDS }, (_, i) => first + i))(
    "seed %i: joined and cut again is what came",
    async (seed) => {
      const random = new Random(seed);
      const flows = Array.from({ length: random.between(1, 4) }, () => random.pick(FLOWS));
      const messages = asMessages(randomPackets(flows, random, PACKETS), FROM.b, () => random.pick([1, 8, 64]));
      const plain = receive(await engine(0, ANSWERED), messages);
      const joined = receive(await engine(ALL, ANSWERED), messages);

      const expected = plain.writes.map((write) => write.bytes.subarray(Virtio.SIZE));
      const actual = joined.writes.map((write) => splitFrame(write.bytes));
      expect(actual.map((packets) => packets.length)).toEqual(joined.writes.map((write) => write.packetCount));
      expect(byFlow(actual.flat())).toEqual(byFlow(expected));
      expect(joined.counts).toEqual(plain.counts);
      expect(joined.writes.length).toBeLessThan(plain.writes.length);
    },
  );
});

const FAMILIES = [
  { family: "IPv4", src: B1.instanceV4, dst: A1.v4, header: 20 },
  { family: "IPv6", src: B1.instanceV6, dst: A1.v6, header: 40 },
];

describe.each(FAMILIES)("$family", ({ src, dst, header }) => {
  /** A run of packets of one flow that follow each other. */
  function run(isTcp: boolean, sizes: readonly number[]): Uint8Array[] {
    let seq = 0xfffffff0;
    return sizes.map((size, i) => {
      const ip = src.includes(":")
        ? packet().ipv6({ src, dst })
        : packet().ipv4({ src, dst, id: (0xfffe + i) & 0xffff });
      const built = isTcp ? ip.tcp({ sport: 5001, dport: 40000, seq }) : ip.udp({ sport: 5001, dport: 40000 });
      seq = (seq + size) >>> 0;
      return built.payload(size).bytes();
    });
  }

  /** How many packets each frame carries; what the kernel cuts from them is what came. */
  async function framesOf(packets: readonly Uint8Array[], offloads = ALL): Promise<number[]> {
    const { writes, counts } = receive(await engine(offloads), asMessages(packets, FROM.b));
    const cut = writes.map((write) => splitFrame(write.bytes));
    expect(byFlow(cut.flat())).toEqual(byFlow(packets));
    expect(writes.map((write) => write.packetCount)).toEqual(cut.map((one) => one.length));
    expect(counts).toMatchObject({
      ingressPackets: packets.length,
      ingressBytes: packets.reduce((sum, bytes) => sum + bytes.length, 0),
    });
    return writes.map((write) => write.packetCount);
  }

  const largest = Math.floor((65_535 - header - 20) / 1400);
  const joined: readonly { what: string; isTcp: boolean; sizes: readonly number[]; frames: readonly number[] }[] = [
    { what: "45 segments of one stream", isTcp: true, sizes: Array(45).fill(1400), frames: [45] },
    { what: "45 datagrams of one size", isTcp: false, sizes: Array(45).fill(1400), frames: [45] },
    { what: "a shorter last segment", isTcp: true, sizes: [1000, 1000, 1], frames: [3] },
    { what: "a shorter last datagram", isTcp: false, sizes: [1000, 1000, 1], frames: [3] },
    { what: "nothing after a shorter segment", isTcp: true, sizes: [1000, 999, 999, 999], frames: [2, 2] },
    { what: "nothing after a shorter datagram", isTcp: false, sizes: [1000, 999, 999, 999], frames: [2, 2] },
    { what: "no longer segment", isTcp: true, sizes: [999, 1000, 1000], frames: [1, 2] },
    { what: "no longer datagram", isTcp: false, sizes: [999, 1000, 1000], frames: [1, 2] },
    { what: "no segment without payload", isTcp: true, sizes: [1000, 0, 1000, 1000], frames: [1, 1, 2] },
    { what: "no datagram without payload", isTcp: false, sizes: [1000, 0, 1000, 1000], frames: [1, 1, 2] },
    {
      what: "as many bytes as a length field can say",
      isTcp: true,
      sizes: Array(50).fill(1400),
      frames: [largest, 50 - largest],
    },
    { what: "no more segments than writev takes iovecs", isTcp: true, sizes: Array(1100).fill(1), frames: [1023, 77] },
    { what: "no more datagrams than the kernel cuts", isTcp: false, sizes: Array(100).fill(1), frames: [64, 36] },
    { what: "segments of odd sizes", isTcp: true, sizes: [333, 333, 333, 21], frames: [4] },
    { what: "the largest segments", isTcp: true, sizes: [32_700, 32_700, 32_700], frames: [2, 1] },
  ];
  test.each(joined)("joins $what", async ({ isTcp, sizes, frames }) => {
    expect(await framesOf(run(isTcp, sizes))).toEqual(frames);
  });

  test("segments of several messages of a batch share a frame", async () => {
    const packets = run(true, Array(40).fill(1000));
    const { writes } = receive(
      await engine(ALL),
      asMessages(packets, FROM.b, () => 20),
    );
    expect(writes.map((write) => write.packetCount)).toEqual([40]);
  });

  test("nothing waits for the next batch", async () => {
    const fixture = await engine(ALL);
    const [a, b] = run(true, [1000, 1000]) as [Uint8Array, Uint8Array];
    expect(receive(fixture, [single(a)]).writes.length).toBe(1);
    expect(receive(fixture, [single(b)]).writes.map((write) => write.packetCount)).toEqual([1]);
  });

  test.each([
    { offloads: 0, tcp: [1, 1], udp: [1, 1] },
    { offloads: HeaderLayout.OFFLOAD_TUN_TCP, tcp: [2], udp: [1, 1] },
    { offloads: HeaderLayout.OFFLOAD_TUN_UDP, tcp: [1, 1], udp: [2] },
    { offloads: HeaderLayout.OFFLOAD_UDP_GSO, tcp: [1, 1], udp: [1, 1] },
  ])("with the offloads $offloads TCP becomes $tcp and UDP $udp", async ({ offloads, tcp, udp }) => {
    expect(await framesOf(run(true, [500, 500]), offloads)).toEqual(tcp);
    expect(await framesOf(run(false, [500, 500]), offloads)).toEqual(udp);
  });

  /** Two segments, the second as it follows the first but for the given fields. */
  function pair(
    second: Partial<TcpFields>,
    ip: Partial<Ipv4Fields & Ipv6Fields> = {},
    first: Partial<TcpFields> = {},
  ): Uint8Array[] {
    const network = (id: number, fields: Partial<Ipv4Fields & Ipv6Fields>) =>
      src.includes(":") ? packet().ipv6({ src, dst, ...fields }) : packet().ipv4({ src, dst, id, ...fields });
    const tcp = { sport: 5001, dport: 40000, ack: 7, options: [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2] };
    return [
      network(1, {})
        .tcp({ ...tcp, seq: 1000, ...first })
        .payload(500)
        .bytes(),
      network(2, ip)
        .tcp({ ...tcp, seq: 1500, ...second })
        .payload(500)
        .bytes(),
    ];
  }

  const apart: readonly { what: string; packets: () => Uint8Array[] }[] = [
    { what: "a gap", packets: () => pair({ seq: 1501 }) },
    { what: "a retransmission", packets: () => pair({ seq: 1000 }) },
    { what: "an overlap", packets: () => pair({ seq: 1499 }) },
    { what: "segments out of order", packets: () => pair({}).reverse() },
    { what: "another acknowledgment", packets: () => pair({ ack: 8 }) },
    { what: "another window", packets: () => pair({ window: 1 }) },
    { what: "another urgent pointer", packets: () => pair({ urgent: 1 }) },
    { what: "another timestamp", packets: () => pair({ options: [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 2] }) },
    { what: "fewer options", packets: () => pair({ options: [] }) },
    { what: "another source port", packets: () => pair({ sport: 5002 }) },
    { what: "another destination port", packets: () => pair({ dport: 40001 }) },
    { what: "PSH on the first", packets: () => pair({}, {}, { flags: FLAG.ACK | FLAG.PSH }) },
    ...(["FIN", "SYN", "RST", "URG", "ECE", "CWR"] as const).flatMap((name) => [
      { what: `${name} on the first`, packets: () => pair({}, {}, { flags: FLAG.ACK | FLAG[name] }) },
      { what: `${name} on the second`, packets: () => pair({ flags: FLAG.ACK | FLAG[name] }) },
    ]),
    { what: "no ACK", packets: () => pair({ flags: FLAG.PSH }) },
    { what: "unequal TTL or hop limit", packets: () => pair({}, { ttl: 63, hopLimit: 63 }) },
    { what: "unequal TOS or traffic class", packets: () => pair({}, { tos: 4, trafficClass: 4 }) },
    { what: "an ECN mark", packets: () => pair({}, { tos: 3, trafficClass: 3 }) },
    { what: "another DF bit or flow label", packets: () => pair({}, { fragment: 0, flowLabel: 9 }) },
    { what: "a wrong checksum on the first", packets: () => pair({}, {}, { checksum: 0x1234 }) },
    { what: "a wrong checksum on the second", packets: () => pair({ checksum: 0x1234 }) },
    {
      what: "a damaged payload",
      packets: () => pair({}).map((bytes, i) => (i === 0 ? bytes : corrupt(bytes, bytes.length - 1, 0xee))),
    },
    ...(header === 20
      ? [
          { what: "an IPv4 id that does not follow", packets: () => pair({}, { id: 3 }) },
          { what: "an equal IPv4 id", packets: () => pair({}, { id: 1 }) },
          { what: "IPv4 options", packets: () => pair({}, { options: [1, 1, 1, 0] }) },
          { what: "a wrong IPv4 header checksum", packets: () => pair({}, { checksum: 0x1234 }) },
        ]
      : []),
  ];
  test("what follows is coalesced", async () => {
    expect(await framesOf(pair({}))).toEqual([2]);
    expect(await framesOf(pair({ flags: FLAG.ACK | FLAG.PSH }))).toEqual([2]);
  });
  test.each(apart)("$what is not coalesced", async ({ packets }) => {
    expect(await framesOf(packets())).toEqual([1, 1]);
  });

  test.each<{ what: string; second: Partial<UdpFields> }>([
    { what: "another source port", second: { sport: 5002 } },
    { what: "another destination port", second: { dport: 40001 } },
    { what: "no checksum", second: { checksum: 0 } },
    { what: "a wrong checksum", second: { checksum: 0x1234 } },
  ])("UDP: $what is not coalesced", async ({ second }) => {
    const ip = (id: number) => (src.includes(":") ? packet().ipv6({ src, dst }) : packet().ipv4({ src, dst, id }));
    const udp = { sport: 5001, dport: 40000 };
    const first = ip(1).udp(udp).payload(500).bytes();
    expect(await framesOf([first, ip(2).udp(udp).payload(500).bytes()])).toEqual([2]);
    expect(
      await framesOf([
        first,
        ip(2)
          .udp({ ...udp, ...second })
          .payload(500)
          .bytes(),
      ]),
    ).toEqual([1, 1]);
  });

  test("TCP and UDP with the same ports stay apart", async () => {
    expect(await framesOf([...run(true, [500, 500]), ...run(false, [500, 500])])).toEqual([2, 2]);
  });

  test("a checksum in the other form of zero is not coalesced: cutting would give it the usual form", async () => {
    const packets = pair({}).map((bytes) => withZeroChecksum(bytes, header));
    expect(await framesOf(packets)).toEqual([2]);
    expect(await framesOf(packets.map((bytes) => corrupt(bytes, header + 16, 0xff, 0xff)))).toEqual([1, 1]);
  });
});

/** A segment whose right checksum is zero: what the checksum was is added to the payload instead. */
function withZeroChecksum(bytes: Uint8Array, header: number): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const sum = view.getUint16(copy.length - 2) + view.getUint16(header + 16);
  view.setUint16(copy.length - 2, sum > 0xffff ? sum - 0xffff : sum);
  view.setUint16(header + 16, 0);
  return copy;
}
