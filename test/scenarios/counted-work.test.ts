// What a packet of a known flow costs, counted on the module that the build made: bytes of payload that are summed,
// cache lines of the tables that are touched, messages and frames for the kernel. A number here that grows is a packet
// that costs more, on a machine of any speed.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { UDP_PAYLOAD_MAX } from "../../assembly/shared/sockets.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { CountedNode } from "../support/counted-work.ts";
import { FLAG, type PacketBuilder, packet } from "../support/packet-builder.ts";
import { A1, B1, C1, FROM, ROUND_ROBIN } from "../support/world.ts";

const ALL = HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP | HeaderLayout.OFFLOAD_TUN_UDP;
const MTU = 1450;
/** Of the longest super-packet that Linux makes of so long segments, and of what UDP takes in one message. */
const SEGMENTS_OF_SUPER = 46;
const SEGMENTS_OF_MESSAGE = 45;
const BATCH = 20;

const FAMILIES = [
  { family: "IPv4", client: A1.v4, called: ROUND_ROBIN.b.v4, answering: B1.instanceV4, inNode: C1.instanceV4, ip: 20 },
  { family: "IPv6", client: A1.v6, called: ROUND_ROBIN.b.v6, answering: B1.instanceV6, inNode: C1.instanceV6, ip: 40 },
] as const;
/** Lines that a packet touches: to another node, within the node, from the node that the one before came from. */
const OUT = { flowBuckets: 1, flows: 2, nodes: 1, nodeMetrics: 1 };
const WITHIN = { flowBuckets: 2, flows: 2 };
const IN = { flowBuckets: 1, flows: 2 };

function node(): Promise<CountedNode> {
  return CountedNode.create({ memory: { offloads: ALL } });
}

describe.each(FAMILIES)("$family", ({ client, called, answering, inNode, ip }) => {
  const gsoType = ip === 20 ? Virtio.GSO_TCPV4 : Virtio.GSO_TCPV6;
  const TCP = ip + 20;
  const UDP = ip + 8;
  const SEGMENT = MTU - TCP;
  const SUPER = SEGMENTS_OF_SUPER * SEGMENT;
  const tcp = (dst: string): PacketBuilder =>
    packet().ip(client, dst).tcp({ sport: 40_000, dport: 80, flags: FLAG.ACK });
  const udp = (dst: string): PacketBuilder => packet().ip(client, dst).udp({ sport: 40_000, dport: 53 });
  /** A segment of a stream of such. */
  const answer = (segment: number, bytes: number, flags = FLAG.ACK): Uint8Array => {
    const from =
      ip === 20 ? packet().ipv4({ src: answering, dst: client, id: segment }) : packet().ip(answering, client);
    return from
      .tcp({ sport: 80, dport: 40_000, seq: segment * bytes, flags })
      .payload(bytes)
      .bytes();
  };

  test("to another node: what the workload left to be summed is summed once, all else not at all", async () => {
    const counted = await node();
    counted.egress(TCP, tcp(called).frame());
    counted.egress(UDP, udp(called).frame());
    const one = { messages: 1, frames: 0, lines: OUT };
    expect(counted.egress(TCP, tcp(called).payload(1000).frame())).toEqual({ ...one, payloadBytes: 0 });
    expect(counted.egress(TCP, tcp(called).payload(1000).offloadFrame())).toEqual({ ...one, payloadBytes: 1000 });
    expect(counted.egress(UDP, udp(called).payload(1000).frame())).toEqual({ ...one, payloadBytes: 0 });
    expect(counted.egress(UDP, udp(called).payload(1000).offloadFrame())).toEqual({ ...one, payloadBytes: 1000 });
  });

  test("super-packets to another node: each byte is summed once, and the messages are as full as UDP allows", async () => {
    const counted = await node();
    counted.egress(TCP, tcp(called).frame());
    const frame = tcp(called).payload(SUPER).offloadFrame({ gsoType, gsoSize: SEGMENT });
    expect((SEGMENTS_OF_MESSAGE + 1) * MTU).toBeGreaterThan(UDP_PAYLOAD_MAX);
    expect(counted.egress(TCP, frame)).toEqual({ payloadBytes: SUPER, messages: 2, frames: 0, lines: OUT });
    // The message that one super-packet opens takes segments of the next.
    const all = counted.egress(TCP, ...Array<Uint8Array>(BATCH).fill(frame));
    expect(all.payloadBytes).toBe(BATCH * SUPER);
    expect(all.messages).toBe(Math.ceil((BATCH * SEGMENTS_OF_SUPER) / SEGMENTS_OF_MESSAGE));
    expect(all.lines).toEqual(OUT);
  });

  test("datagrams of a super-packet: each byte is summed once, in one message", async () => {
    const counted = await node();
    counted.egress(UDP, udp(called).frame());
    const frame = udp(called).payload(20_000).offloadFrame({ gsoType: Virtio.GSO_UDP_L4, gsoSize: 1000 });
    expect(counted.egress(UDP, frame)).toEqual({ payloadBytes: 20_000, messages: 1, frames: 0, lines: OUT });
  });

  test("within the node: nothing is summed, whatever the workload left to be summed", async () => {
    const counted = await node();
    counted.egress(TCP, tcp(inNode).frame());
    counted.egress(UDP, udp(inNode).frame());
    const one = { payloadBytes: 0, messages: 0, frames: 1, lines: WITHIN };
    expect(counted.egress(TCP, tcp(inNode).payload(1000).frame())).toEqual(one);
    expect(counted.egress(TCP, tcp(inNode).payload(1000).offloadFrame())).toEqual(one);
    expect(counted.egress(UDP, udp(inNode).payload(1000).offloadFrame())).toEqual(one);
    const frame = tcp(inNode).payload(SUPER).offloadFrame({ gsoType, gsoSize: SEGMENT });
    expect(counted.egress(TCP, frame)).toMatchObject({ payloadBytes: 0, frames: 1 });
  });

  test("from another node: what stays by itself is not summed; its receiver verifies it", async () => {
    const counted = await node();
    counted.egress(TCP, tcp(called).frame());
    const from = (bytes: Uint8Array) => ({ ...FROM.b, bytes });
    counted.ingress(TCP, from(answer(0, 0)));
    const one = { payloadBytes: 0, messages: 0, frames: 1, lines: IN };
    expect(counted.ingress(TCP, from(answer(0, 1000)))).toEqual(one);
    expect(counted.ingress(TCP, from(answer(0, 1000, FLAG.ACK | FLAG.PSH)))).toEqual(one);
    const apart = [answer(0, 1000), answer(7, 1000), answer(3, 1000)].map(from);
    expect(counted.ingress(TCP, ...apart)).toEqual({ ...one, frames: 3 });
  });

  test("from another node: of what is joined each byte is summed once, and a frame has as many as fit", async () => {
    const counted = await node();
    counted.egress(TCP, tcp(called).frame());
    counted.ingress(TCP, { ...FROM.b, bytes: answer(0, 0) });
    const bytes = Buffer.concat(Array.from({ length: SEGMENTS_OF_MESSAGE }, (_, i) => answer(i, SEGMENT)));
    const joined = counted.ingress(TCP, { ...FROM.b, bytes, segmentSize: MTU });
    expect(joined).toEqual({ payloadBytes: SEGMENTS_OF_MESSAGE * SEGMENT, messages: 0, frames: 1, lines: IN });
  });

  test("from another node: no byte is summed more than once, however many packets are corrupt", async () => {
    const counted = await node();
    counted.egress(TCP, tcp(called).frame());
    for (const corrupt of [[0], [1], [0, 1], [0, 1, 2, 3], [1, 3], [3]]) {
      const messages = Array.from({ length: 4 }, (_, i) => ({ ...FROM.b, bytes: answer(i, 1000) }));
      for (const i of corrupt) messages[i]?.bytes.fill(0xab, TCP);
      const { payloadBytes } = counted.ingress(TCP, ...messages);
      expect(payloadBytes, `corrupt: ${corrupt}`).toBeLessThanOrEqual(4 * 1000);
    }
  });
});
