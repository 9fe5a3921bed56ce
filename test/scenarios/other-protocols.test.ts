// Protocols without ports go by addresses and protocol number; nothing of them is touched but what covers addresses.
import { describe, expect, test } from "vitest";
import * as Protocol from "../../assembly/shared/protocol.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { addressBytes, packet, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, from, to, validChecksums } from "../support/packet-checks.ts";
import { sentPacket } from "../support/packets-of.ts";
import { pseudoHeaderSum, sumWords } from "../support/reference/checksum.ts";
import { A1, B1, CLOSEST, FROM, onNodeA, ROUND_ROBIN, TO } from "../support/world.ts";

const SCTP = 132;
const GRE = 47;

describe.each([
  ["IPv4", A1.v4, A1.instanceV4, ROUND_ROBIN.b.v4, B1.v4, B1.instanceV4],
  ["IPv6", A1.v6, A1.instanceV6, ROUND_ROBIN.b.v6, B1.v6, B1.instanceV6],
])("over %s", (_family, client, own, called, target, answering) => {
  test.each([
    ["SCTP", SCTP],
    ["GRE", GRE],
    ["ESP", 50],
    ["an experiment", 253],
  ])("%s reaches an instance and is answered from the called address", async (_name, protocol) => {
    const fixture = await onNodeA();
    const request = packet().ip(client, called).protocol(protocol).payload(33);
    const sent = fixture.egress(request.frame()).datagrams;
    expect(sent.map(({ endpoint }) => endpoint)).toEqual([TO.b]);
    expect(sent[0]?.bytes).toEqual(packet().ip(own, target).protocol(protocol).payload(33).bytes());
    const reply = packet().ip(answering, client).protocol(protocol).payload(5).bytes();
    const back = fixture.ingress({ ...FROM.b, bytes: reply });
    expect(back.tunWrites[0]).toEqual(packet().ip(called, client).protocol(protocol).payload(5).frame());
    expect(back.counts).toEqual({ ingressPackets: 1, ingressBytes: reply.length });
  });

  test.each([
    ["UDP-Lite", Protocol.UDPLITE],
    ["DCCP", Protocol.DCCP],
  ])("the checksum of %s follows the addresses", async (_name, protocol) => {
    const fixture = await onNodeA();
    const bytes = packet().ip(client, called).protocol(protocol).payload(24).bytes();
    const at = bytes.length - 24;
    const view = new DataView(bytes.buffer);
    view.setUint16(at + 6, 0);
    view.setUint16(at + 6, ~sumOf(bytes, client, called, protocol, at) & 0xffff);
    const sent = sentPacket(fixture.egress(virtioFrame(bytes, {})));
    expect(sumOf(sent, own, target, protocol, at) % 0xffff).toBe(0);
  });

  test("a packet without a single byte of payload is carried too", async () => {
    const fixture = await onNodeA();
    const result = fixture.egress(packet().ip(client, called).protocol(59).frame());
    expect(result.counts).toMatchObject({ egressPackets: 1 });
  });
});

/** Sum over pseudo-header and everything from `at` on; a multiple of 0xffff when the checksum in it is right. */
function sumOf(bytes: Uint8Array, src: string, dst: string, protocol: number, at: number): number {
  const pseudo = pseudoHeaderSum(addressBytes(src), addressBytes(dst), protocol, bytes.length - at);
  const sum = pseudo + sumWords(bytes, at);
  return sum > 0xffff ? sum - 0xffff : sum;
}

test("two protocols of one client are two flows", async () => {
  const fixture = await onNodeA();
  const base = packet().ip(A1.v4, ROUND_ROBIN.b.v4).payload(8);
  expect(fixture.egress(base.protocol(SCTP).frame(), base.protocol(GRE).frame()).counts).toMatchObject({
    flowsOpened: 2,
  });
});

test("one instance cannot be reached by two addresses at once: the answers could not be told apart", async () => {
  const fixture = await onNodeA();
  const to = (called: string): Uint8Array => packet().ip(A1.v4, called).protocol(SCTP).payload(8).frame();
  fixture.egress(to(ROUND_ROBIN.b.v4));
  const second = fixture.egress(to(CLOSEST.b.v4));
  expect(second.datagrams).toEqual([]);
  expect(second.counts).toEqual({ policyChoices: 1, "egressDrop.portsExhausted": 1 });
});

test("a flow that was answered lives longer than one that was not", async () => {
  const fixture = await onNodeA({ memory: { timeoutsMs: { otherUnreplied: 100, otherStream: 500 } } });
  fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).protocol(SCTP).payload(8).frame());
  fixture.ingress({ ...FROM.b, bytes: packet().ip(B1.instanceV4, A1.v4).protocol(SCTP).payload(8).bytes() });
  fixture.egress(packet().ip(A1.v6, ROUND_ROBIN.b.v6).protocol(SCTP).payload(8).frame());
  fixture.advance(100);
  expect(fixture.sweep().counts).toEqual({ flowsExpired: 1 });
  fixture.advance(400);
  expect(fixture.sweep().counts).toEqual({ flowsExpired: 1 });
});

test("the checksum of a packet inside a tunnel's packet is finished where the workload left it to the device", async () => {
  const fixture = await onNodeA();
  const inner = packet().ip("10.0.0.1", "10.0.0.2").tcp({ sport: 1, dport: 2 }).payload("text");
  const unfinished = inner.offloadFrame().subarray(10);
  const gre = packet()
    .ip(A1.v4, ROUND_ROBIN.b.v4)
    .protocol(GRE)
    .payload(Uint8Array.from([0, 0, 8, 0, ...unfinished]))
    .bytes();
  const header = { flags: Virtio.F_NEEDS_CSUM, csumStart: 20 + 4 + 20, csumOffset: 16 };
  const sent = sentPacket(fixture.egress(virtioFrame(gre, header)));
  expect(sent.subarray(24)).toEqual(inner.bytes());
});

describe("IPv6 extension headers", () => {
  const eight = (type: number): { type: number; bytes: number[] } => ({ type, bytes: [0, 0, 1, 4, 0, 0, 0, 0] });
  const chains = [
    ["hop-by-hop options", [eight(Protocol.HOP_BY_HOP)]],
    [
      "a long header of destination options",
      [{ type: Protocol.DESTINATION_OPTIONS, bytes: [0, 2, 1, 20, ...zeros(20)] }],
    ],
    ["an authentication header", [{ type: Protocol.AH, bytes: [0, 4, ...zeros(22)] }]],
    ["a fragment header of a whole packet", [{ type: Protocol.FRAGMENT, bytes: [0, 0, 0, 0, 0, 0, 0, 9] }]],
    ["eight of them", Array.from({ length: 8 }, () => eight(Protocol.ROUTING))],
  ] as const;

  test.each(chains)("%s: passes as it is, and the flow goes by the ports behind", async (_name, extensions) => {
    const fixture = await onNodeA();
    const transport = { sport: 40000, dport: 80 };
    const client = packet().ipv6({ src: A1.v6, dst: ROUND_ROBIN.b.v6, extensions }).tcp(transport).payload("x");
    const plain = packet().ip(A1.v6, ROUND_ROBIN.b.v6).tcp(transport).payload("x");
    const result = fixture.egress(client.frame(), plain.frame());
    const wire = packet().ipv6({ src: A1.instanceV6, dst: B1.v6, extensions }).tcp(transport).payload("x");
    expect(sentPacket(result)).toEqual(wire.bytes());
    expect(result.counts).toMatchObject({ flowsOpened: 1, egressPackets: 2 });
  });
});

test("IPv4 options pass as they are", async () => {
  const fixture = await onNodeA();
  const options = [7, 7, 4, 0, 0, 0, 0, 0];
  const sent = fixture.egress(
    packet().ipv4({ src: A1.v4, dst: ROUND_ROBIN.b.v4, options }).protocol(SCTP).payload(8).frame(),
  );
  expectPacket(sentPacket(sent), from(A1.instanceV4), to(B1.v4));
  expect([...(sentPacket(sent).subarray(20, 28) ?? [])]).toEqual(options);
  const udp = packet().ipv4({ src: A1.v4, dst: ROUND_ROBIN.b.v4, options }).udp({ sport: 1, dport: 2 }).payload(8);
  expectPacket(sentPacket(fixture.egress(udp.frame())), validChecksums());
});

function zeros(count: number): number[] {
  return Array<number>(count).fill(0);
}
