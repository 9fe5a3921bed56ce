// Super-packets leave as the packets that segmentation in the kernel would have made of them.
import { describe, expect, test } from "vitest";
import { UDP_PAYLOAD_MAX, UDP_SEGMENTS_MAX } from "../../assembly/shared/sockets.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { FLAG, packet, pad, tcpPacket, udpPacket, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, from, to, validChecksums, viewPacket } from "../support/packet-checks.ts";
import { A1, B1, onNodeA, ROUND_ROBIN } from "../support/world.ts";

const FAMILIES = [
  {
    family: "IPv4",
    client: A1.v4,
    source: A1.instanceV4,
    called: ROUND_ROBIN.b.v4,
    target: B1.v4,
    header: 20,
    gsoType: Virtio.GSO_TCPV4,
    largest: 65_535 - 40,
  },
  {
    family: "IPv6",
    client: A1.v6,
    source: A1.instanceV6,
    called: ROUND_ROBIN.b.v6,
    target: B1.v6,
    header: 40,
    gsoType: Virtio.GSO_TCPV6,
    largest: 65_535 - 20,
  },
];

describe.each(FAMILIES)("$family segmentation", ({ client, source, called, target, header, gsoType, largest }) => {
  test("TCP: sequence numbers, flags, ids, lengths and checksums are those of each segment", async () => {
    const fixture = await onNodeA();
    const flags = FLAG.ACK | FLAG.PSH | FLAG.FIN | FLAG.CWR;
    const options = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    const build = tcpPacket(client, called, { sport: 40000, dport: 80, seq: 0xfffffe00, flags, options }, 3000);
    const result = fixture.egress(build.offloadFrame({ gsoType: gsoType | Virtio.GSO_ECN, gsoSize: 1000 }));
    const segments = result.datagrams.map((one) => viewPacket(one.bytes));
    for (const one of result.datagrams) expectPacket(one.bytes, from(source, 40000), to(target, 80), validChecksums());
    expect(segments.map((one) => one.payload.length)).toEqual([1000, 1000, 1000]);
    expect(segments.map((one) => one.seq)).toEqual([0xfffffe00, 488, 1488]);
    expect(segments.map((one) => one.flags)).toEqual([FLAG.ACK | FLAG.CWR, FLAG.ACK, FLAG.ACK | FLAG.PSH | FLAG.FIN]);
    if (header === 20) expect(segments.map((one) => one.id)).toEqual([0x1234, 0x1235, 0x1236]);
    expect(Buffer.concat(segments.map((one) => one.payload))).toEqual(Buffer.from(build.bytes().subarray(header + 32)));
    expect(result.counts).toEqual({
      egressPackets: 3,
      egressBytes: 3000 + 3 * (header + 32),
      flowsOpened: 1,
      policyChoices: 1,
    });
  });

  test.each([1, 7, 999, 1000, 1001, 1999, 2000, 2001])(
    "TCP: %i bytes in segments of 1000 arrive whole",
    async (length) => {
      const fixture = await onNodeA();
      const build = tcpPacket(client, called, { sport: 40000, dport: 80, flags: FLAG.ACK | FLAG.PSH }, length);
      const result = fixture.egress(build.offloadFrame({ gsoType, gsoSize: 1000 }));
      expect(result.datagrams.length).toBe(Math.ceil(length / 1000));
      const payload = Buffer.concat(result.datagrams.map((one) => viewPacket(one.bytes).payload));
      expect(payload).toEqual(Buffer.from(build.bytes().subarray(header + 20)));
    },
  );

  test("UDP: each datagram has its own length and checksum", async () => {
    const fixture = await onNodeA();
    const build = packet().ip(client, called).udp({ sport: 40000, dport: 53 }).payload(2500);
    const result = fixture.egress(build.offloadFrame({ gsoType: Virtio.GSO_UDP_L4, gsoSize: 1200 }));
    for (const one of result.datagrams) expectPacket(one.bytes, from(source, 40000), to(target, 53), validChecksums());
    expect(result.datagrams.map((one) => one.bytes.length - header - 8)).toEqual([1200, 1200, 100]);
    expect(result.counts.egressBytes).toBe(2500 + 3 * (header + 8));
  });

  test("the largest super-packet fits into sends that the kernel takes", async () => {
    const fixture = await onNodeA();
    for (const gsoSize of [100, 1000, 1398, 1410, 8000, 60_000]) {
      const build = packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.ACK }).payload(largest);
      const result = fixture.egress(build.offloadFrame({ gsoType, gsoSize }));
      expect(result.datagrams.length).toBe(Math.ceil(largest / gsoSize));
      for (const message of result.messages) {
        expect(message.datagrams.length).toBeLessThanOrEqual(UDP_SEGMENTS_MAX);
        expect(message.datagrams.reduce((sum, one) => sum + one.length, 0)).toBeLessThanOrEqual(UDP_PAYLOAD_MAX);
        expect(message.packetCount).toBe(message.datagrams.length);
      }
    }
  });

  test("segments of one size share a send", async () => {
    const fixture = await onNodeA();
    const build = packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.ACK }).payload(30_000);
    const result = fixture.egress(build.offloadFrame({ gsoType, gsoSize: 1000 }));
    expect(result.messages.length).toBe(1);
  });

  test("a batch of the largest super-packets leaves whole, even if in several calls", async () => {
    const fixture = await onNodeA();
    const frames = Array.from({ length: 64 }, (_, i) =>
      tcpPacket(client, called, { sport: 40000, dport: 80, seq: i * largest, flags: FLAG.ACK }, largest).offloadFrame({
        gsoType,
        gsoSize: 1390,
      }),
    );
    const result = fixture.egress(...frames);
    expect(result.datagrams.length).toBe(64 * Math.ceil(largest / 1390));
  });

  test("2047 segments are possible, more contradict what TCP does", async () => {
    const fixture = await onNodeA();
    const build = packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.ACK });
    const most = fixture.egress(build.payload(2047).offloadFrame({ gsoType, gsoSize: 1 }));
    expect(most.counts.egressPackets).toBe(2047);
    const tooMany = fixture.egress(build.payload(2048).offloadFrame({ gsoType, gsoSize: 1 }));
    expect(tooMany.counts).toEqual({ "egressDrop.badOffload": 1 });
  });

  test("bytes behind a super-packet's length do not leave", async () => {
    const fixture = await onNodeA();
    const frame = tcpPacket(client, called, { sport: 40000, dport: 80 }, 1500).offloadFrame({ gsoType, gsoSize: 1000 });
    const result = fixture.egress(pad(frame, 700));
    expect(result.datagrams.map((one) => one.bytes.length - header - 20)).toEqual([1000, 500]);
  });
});

test("the IPv4 id of segments wraps", async () => {
  const fixture = await onNodeA();
  const build = packet()
    .ipv4({ src: A1.v4, dst: ROUND_ROBIN.b.v4, id: 0xffff, tos: 2, ttl: 7 })
    .tcp({ sport: 1, dport: 2 })
    .payload(300);
  const result = fixture.egress(build.offloadFrame({ gsoType: Virtio.GSO_TCPV4, gsoSize: 100 }));
  expect(result.datagrams.map((one) => viewPacket(one.bytes).id)).toEqual([0xffff, 0, 1]);
  for (const one of result.datagrams) {
    expectPacket(one.bytes, validChecksums());
    expect(viewPacket(one.bytes)).toMatchObject({ trafficClass: 2, hopLimit: 7 });
  }
});

test("small packets of different flows and sizes to one node keep their order", async () => {
  const fixture = await onNodeA();
  const sizes = [100, 100, 100, 40, 40, 900, 100, 40];
  const frames = sizes.map((size, i) => udpPacket(A1.v4, ROUND_ROBIN.b.v4, 1000 + i, 53, size).frame());
  const result = fixture.egress(...frames);
  expect(result.datagrams.map((one) => viewPacket(one.bytes).sport)).toEqual(sizes.map((_, i) => 1000 + i));
});

test("a frame that asks for a checksum only is one packet, whatever its size field says", async () => {
  const fixture = await onNodeA();
  const bytes = packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 1, dport: 53 }).payload(500);
  const frame = bytes.offloadFrame();
  frame[4] = 100;
  expect(fixture.egress(frame, virtioFrame(bytes.bytes(), { gsoSize: 77 })).counts.egressPackets).toBe(2);
});
