// ICMP errors in both directions: whoever gets one finds in it the addresses and ports that it knows, and no others.
import { describe, expect, test } from "vitest";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { packet, truncate, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, from, to, transportSum, validChecksums } from "../support/packet-checks.ts";
import { sentPacket, writtenPacket } from "../support/packets-of.ts";
import { A1, B1, C1, CLOSEST, FROM, onNodeA, ROUND_ROBIN, TO } from "../support/world.ts";

const V4 = {
  family: "IPv4",
  ...{ client: A1.v4, own: A1.instanceV4, called: ROUND_ROBIN.b.v4, other: CLOSEST.b.v4 },
  ...{ target: B1.v4, answering: B1.instanceV4, router: "10.18.0.254", nobody: "10.18.0.253", headers: 28 },
  ...{ neighbour: C1.v4, neighbourInstance: C1.instanceV4, types: [3, 11, 12], unreachable: 3 },
} as const;
const V6 = {
  family: "IPv6",
  ...{ client: A1.v6, own: A1.instanceV6, called: ROUND_ROBIN.b.v6, other: CLOSEST.b.v6 },
  ...{ target: B1.v6, answering: B1.instanceV6, router: "fc00::254", nobody: "fc00::253", headers: 48 },
  ...{ neighbour: C1.v6, neighbourInstance: C1.instanceV6, types: [1, 2, 3, 4], unreachable: 1 },
} as const;
type Family = typeof V4 | typeof V6;

const QUOTED = [
  ["UDP", (src: string, dst: string) => packet().ip(src, dst).udp({ sport: 40000, dport: 53 }).payload(80).bytes()],
  ["TCP", (src: string, dst: string) => packet().ip(src, dst).tcp({ sport: 40000, dport: 80 }).payload(81).bytes()],
  ["SCTP", (src: string, dst: string) => packet().ip(src, dst).protocol(132).payload(80).bytes()],
  [
    "echo",
    (src: string, dst: string) =>
      packet()
        .ip(src, dst)
        .icmp({ type: src.includes(":") ? 128 : 8, words: [77, 1] })
        .payload(80)
        .bytes(),
  ],
] as const;

function error(src: string, dst: string, type: number, quoted: Uint8Array, code = 1): Uint8Array {
  return packet()
    .ip(src, dst)
    .icmp({ type, code, words: [0, 1300] })
    .payload(quoted)
    .bytes();
}

function frame(bytes: Uint8Array): Uint8Array {
  return virtioFrame(bytes, {});
}

/** The only packet written to the TUN. */
function delivered(result: ReturnType<EngineFixture["ingress"]>): Uint8Array {
  expect(result.tunWrites).toHaveLength(1);
  return writtenPacket(result);
}

describe.each([V4, V6])("$family", (f: Family) => {
  describe.each(QUOTED)("about %s", (_name, build) => {
    test("from the other node: the client finds its own packet, sent to the address that it called", async () => {
      const fixture = await onNodeA();
      const call = build(f.client, f.called);
      fixture.egress(frame(call));
      // The instance's node turns back what it knows: the client called the instance.
      const result = fixture.ingress({
        ...FROM.b,
        bytes: error(f.answering, f.client, f.unreachable, build(f.client, f.answering)),
      });
      expect(delivered(result)).toEqual(error(f.called, f.client, f.unreachable, call));
    });

    test("to the other node: the instance speaks, also for a router on its way", async () => {
      const fixture = await onNodeA();
      const request = build(f.answering, f.client);
      fixture.ingress({ ...FROM.b, bytes: request });
      const result = fixture.egress(frame(error(f.router, f.answering, f.unreachable, request)));
      const wire = error(f.own, f.target, f.unreachable, build(f.target, f.own));
      expect(result.datagrams).toEqual([{ endpoint: TO.b, bytes: wire }]);
      expect(result.counts).toEqual({ egressPackets: 1, egressBytes: wire.length });
    });

    test("within the node: both ends see what they know", async () => {
      const fixture = await onNodeA();
      const call = build(f.client, f.neighbourInstance);
      fixture.egress(frame(call));
      const arrived = build(f.own, f.neighbour);
      const result = fixture.egress(frame(error(f.router, f.own, f.unreachable, arrived)));
      expect(delivered(result)).toEqual(error(f.neighbourInstance, f.client, f.unreachable, call));
    });

    test("a quote of 8 transport bytes is enough", async () => {
      const fixture = await onNodeA();
      const [call, quoted] = [build(f.client, f.called), build(f.client, f.answering)];
      fixture.egress(frame(call));
      const length = f.headers - 8 + 8;
      const short = error(f.answering, f.client, f.unreachable, truncate(quoted, length));
      const result = delivered(fixture.ingress({ ...FROM.b, bytes: short }));
      expectPacket(result, from(f.called), to(f.client), validChecksums());
      expect(result.subarray(f.headers, f.headers + length)).toEqual(truncate(call, length));
    });
  });

  test.each(f.types)("type %i passes with any code, its other fields untouched", async (type) => {
    const fixture = await onNodeA();
    const udp = (src: string, dst: string) => packet().ip(src, dst).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    fixture.egress(frame(udp(f.client, f.called)));
    for (const code of [0, 4, 13, 255]) {
      const bytes = error(f.answering, f.client, type, udp(f.client, f.answering), code);
      expect(delivered(fixture.ingress({ ...FROM.b, bytes }))).toEqual(
        error(f.called, f.client, type, udp(f.client, f.called), code),
      );
    }
  });

  test("a port that was changed on the wire is changed back in the quote", async () => {
    const fixture = await onNodeA();
    const udp = (src: string, dst: string, sport = 4000) =>
      packet().ip(src, dst).udp({ sport, dport: 53 }).payload(8).bytes();
    fixture.egress(frame(udp(f.client, f.called)));
    const second = sentPacket(fixture.egress(frame(udp(f.client, f.other))));
    const wirePort = (second[f.headers - 8] as number) * 256 + (second[f.headers - 7] as number);
    expect(wirePort).not.toBe(4000);
    const quoted = udp(f.client, f.answering, wirePort);
    const result = fixture.ingress({ ...FROM.b, bytes: error(f.answering, f.client, f.unreachable, quoted) });
    expect(delivered(result)).toEqual(error(f.other, f.client, f.unreachable, udp(f.client, f.other)));
  });

  test("an error about a packet of a workload that has no flow here is dropped: it may be about anything", async () => {
    const fixture = await onNodeA();
    const quoted = packet().ip(f.client, f.answering).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    const bytes = error(f.answering, f.client, f.unreachable, quoted);
    expect(fixture.ingress({ ...FROM.b, bytes }).counts).toEqual({ "ingressDrop.unrelatedError": 1 });
  });

  test("a workload speaks of packets to itself alone, this node as a router of those to any, and nobody else at all", async () => {
    const fixture = await onNodeA();
    const udp = (src: string, dst: string) => packet().ip(src, dst).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    fixture.ingress({ ...FROM.b, bytes: udp(f.answering, f.client) });
    fixture.egress(frame(udp(f.client, f.answering)));
    const quoted = udp(f.answering, f.client);
    for (const [speaker, counts] of [
      [f.neighbour, { "egressDrop.unrelatedError": 1 }],
      [f.client, { egressPackets: 1 }],
      [f.router, { egressPackets: 1 }],
      [f.nobody, { "egressDrop.unrelatedError": 1 }],
      [f.target, { "egressDrop.unrelatedError": 1 }],
    ] as const) {
      expect(fixture.egress(frame(error(speaker, f.answering, f.unreachable, quoted))).counts).toMatchObject(counts);
    }
  });

  test("an error about a packet that its receiver did not send is dropped, in both directions", async () => {
    const fixture = await onNodeA();
    const quoted = packet().ip(f.neighbour, f.answering).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    const received = fixture.ingress({ ...FROM.b, bytes: error(f.answering, f.client, f.unreachable, quoted) });
    expect(received.counts).toEqual({ "ingressDrop.unrelatedError": 1 });
    const sent = fixture.egress(frame(error(f.client, f.answering, f.unreachable, quoted)));
    expect(sent.counts).toEqual({ "egressDrop.unrelatedError": 1 });
  });

  test("an error to an address that is no instance's and belongs to no flow is dropped", async () => {
    const fixture = await onNodeA();
    const quoted = packet().ip(f.called, f.client).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    const result = fixture.egress(frame(error(f.client, f.called, f.unreachable, quoted)));
    expect(result.counts).toEqual({ "egressDrop.unrelatedError": 1 });
  });

  test("an error in the name of what is no workload of this node is dropped", async () => {
    const fixture = await onNodeA();
    const quoted = packet().ip(f.answering, f.target).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    const result = fixture.egress(frame(error(f.router, f.answering, f.unreachable, quoted)));
    expect(result.counts).toEqual({ "egressDrop.unknownWorkload": 1 });
  });

  test("an error about a flow comes from the node of its instance only", async () => {
    const fixture = await onNodeA();
    const udp = (src: string, dst: string) => packet().ip(src, dst).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    fixture.egress(frame(udp(f.client, f.called)));
    const bytes = error(f.answering, f.client, f.unreachable, udp(f.client, f.answering));
    expect(fixture.ingress({ ...FROM.c, bytes }).counts).toEqual({ "ingressDrop.wrongNode": 1 });
    expect(fixture.ingress({ ...FROM.stranger, bytes }).counts).toEqual({ "ingressDrop.unknownNode": 1 });
  });

  test("errors neither open a flow nor keep one alive", async () => {
    const fixture = await onNodeA({ memory: { timeoutsMs: { udpUnreplied: 1000 } } });
    const udp = (src: string, dst: string) => packet().ip(src, dst).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    fixture.egress(frame(udp(f.client, f.called)));
    fixture.advance(900);
    fixture.ingress({ ...FROM.b, bytes: error(f.answering, f.client, f.unreachable, udp(f.client, f.answering)) });
    fixture.egress(frame(error(f.client, f.answering, f.unreachable, udp(f.answering, f.client))));
    fixture.advance(100);
    expect(fixture.sweep().counts).toEqual({ flowsExpired: 1 });
  });

  test("what follows the quote, as RFC 4884 extensions do, passes unchanged", async () => {
    const fixture = await onNodeA();
    const udp = (src: string, dst: string) => packet().ip(src, dst).udp({ sport: 1, dport: 2 }).payload(100).bytes();
    fixture.egress(frame(udp(f.client, f.called)));
    const extension = [0x20, 0, 0xdf, 0xff, 0, 8, 1, 1, 0, 0, 0, 1];
    const quote = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...bytes, ...extension]);
    const bytes = error(f.answering, f.client, f.unreachable, quote(udp(f.client, f.answering)));
    expect(delivered(fixture.ingress({ ...FROM.b, bytes }))).toEqual(
      error(f.called, f.client, f.unreachable, quote(udp(f.client, f.called))),
    );
  });

  test("a checksum that was wrong stays wrong", async () => {
    const fixture = await onNodeA();
    const udp = (src: string, dst: string) => packet().ip(src, dst).udp({ sport: 1, dport: 2 }).payload(8).bytes();
    fixture.egress(frame(udp(f.client, f.called)));
    const bytes = error(f.answering, f.client, f.unreachable, udp(f.client, f.answering));
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    const result = delivered(fixture.ingress({ ...FROM.b, bytes }));
    expect(transportSum(result)).not.toBe(0xffff);
    expect(transportSum(result)).toBe(transportSum(bytes));
  });
});
