// Sizes across the families (RFC 7915 sections 4 and 5): what grows fits the links at its end, or its sender hears what
// would. Fragment headers count; without DF a packet that becomes IPv6 is cut to 1,280 bytes.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import type { Instance, Service } from "../../src/model/tables.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import type { Result } from "../support/engine-result.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { nth } from "../support/given.ts";
import { type PacketBuilder, packet, udpPacket, virtioFrame } from "../support/packet-builder.ts";
import { Random } from "../support/random.ts";
import { A1, C1, D1, FROM, onNodeA, ROUND_ROBIN, serviceB, THIS_NODE, world } from "../support/world.ts";

const TUN_MTU = 1450;
const LEAST = 1280;
const DONT_FRAGMENT = 0x4000;
const SIX = { v4: "10.30.2.1", v6: "fc00::66" };
const NEAR = { v4: "10.30.2.2", v6: "fc00::67" };
const FOUR = { v6: "fdff:2000::68", v4: "10.18.7.7" };

function one(node: string, namespaceAddress: string, number: number): Instance {
  return {
    ...{ number: 1, node, namespaceAddresses: [namespaceAddress], weight: 1, draining: false },
    instanceAddresses: [`10.30.2.${number}`, `fdff::${number}`],
  };
}

/** IPv6 alone on another node and on this one, IPv4 alone on this one. */
const SERVICES: readonly Service[] = [
  { name: "six", addresses: [{ address: SIX.v4, policy: "round-robin" }], instances: [one("node-b", SIX.v6, 66)] },
  { name: "near", addresses: [{ address: NEAR.v4, policy: "round-robin" }], instances: [one(THIS_NODE, NEAR.v6, 67)] },
  { name: "four", addresses: [{ address: FOUR.v6, policy: "round-robin" }], instances: [one(THIS_NODE, FOUR.v4, 68)] },
];

function node(): Promise<EngineFixture> {
  return onNodeA({
    tables: world(serviceB(), ...SERVICES),
    memory: { tunMtu: TUN_MTU, answers: HeaderLayout.ANSWER_WITH_ICMP },
  });
}

/** A datagram whose IPv4 packet has this length. */
function udp(
  src: string,
  dst: string,
  length: number,
  fragment = 0,
  ports = { sport: 4000, dport: 53 },
): PacketBuilder {
  return packet()
    .ipv4({ src, dst, id: 0x1234, fragment })
    .udp(ports)
    .payload(new Random(length).bytes(length - 28));
}

function sent(result: Result): Uint8Array[] {
  return [
    ...result.datagrams.map(({ bytes }) => bytes),
    ...result.tunWrites.map((write) => write.subarray(Virtio.SIZE)),
  ];
}

/** The payload of fragments in IPv6, put together. */
function reassembled(fragments: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(65_536);
  let end = 0;
  for (const bytes of fragments) {
    expect(bytes[6], "next header").toBe(44);
    const offset = new DataView(bytes.buffer, bytes.byteOffset).getUint16(42) & 0xfff8;
    whole.set(bytes.subarray(48), offset);
    end = Math.max(end, offset + bytes.length - 48);
  }
  return whole.subarray(0, end);
}

/** Behind the UDP header. */
function payloadOf(fragments: readonly Uint8Array[]): Uint8Array {
  return reassembled(fragments).slice(8);
}

describe.each([
  ["on another node", SIX.v4],
  ["on this node", NEAR.v4],
])("IPv4 to an instance with IPv6 alone %s", (_where, called) => {
  test.each([1261, 1431, 1450, 3000])("without DF, %i bytes: in fragments of at most 1,280", async (length) => {
    const fixture = await node();
    const call = udp(A1.v4, called, length);
    const out = sent(fixture.egress(virtioFrame(call.bytes(), {})));
    expect(out.map((bytes) => bytes.length <= LEAST)).toEqual(out.map(() => true));
    expect(payloadOf(out)).toEqual(call.bytes().slice(28));
  });

  test("without DF, 1,260 bytes: whole, without a fragment header", async () => {
    const fixture = await node();
    const [out] = sent(fixture.egress(virtioFrame(udp(A1.v4, called, 1260).bytes(), {})));
    expect([out?.length, out?.[6]]).toEqual([1280, 17]);
  });

  test.each([1430, 1431])(
    "with DF, %i bytes: what the links take, else the client hears what would fit",
    async (length) => {
      const fixture = await node();
      const result = fixture.egress(virtioFrame(udp(A1.v4, called, length, DONT_FRAGMENT).bytes(), {}));
      const [out] = sent(result);
      if (length === 1430) return expect(out?.length).toBe(TUN_MTU);
      expect(result.counts).toMatchObject({ "egressDrop.tooBig": 1, icmpErrorsSent: 1 });
      expect([out?.[20], out?.[21], out?.[26] === undefined ? 0 : out[26] * 256 + (out[27] ?? 0)]).toEqual([
        3, 4, 1430,
      ]);
    },
  );

  test.each([
    ["in order", [0, 1, 2]],
    ["the first one last", [2, 1, 0]],
  ] as const)("fragments that just fitted the links before, %s: in smaller ones", async (_order, order) => {
    const fixture = await node();
    const call = udp(A1.v4, called, 4000);
    const fragments = fragmentsOf(call.bytes(), 1408);
    const out = sent(fixture.egress(...order.map((i) => virtioFrame(nth(fragments, i), {}))));
    expect(out.map((bytes) => bytes.length <= LEAST)).toEqual(out.map(() => true));
    expect(payloadOf(out)).toEqual(call.bytes().slice(28));
  });

  test("a super-packet of UDP without DF: each datagram in fragments", async () => {
    const fixture = await node();
    const call = udp(A1.v4, called, 28 + 3 * 1400).offloadFrame({ gsoType: Virtio.GSO_UDP_L4, gsoSize: 1400 });
    const out = sent(fixture.egress(call));
    expect(out).toHaveLength(6);
    const payloads = [0, 2, 4].map((i) => payloadOf(out.slice(i, i + 2)));
    expect(Buffer.concat(payloads)).toEqual(Buffer.from(call.slice(Virtio.SIZE + 28)));
  });
});

describe("answers in IPv4 to an IPv6 client", () => {
  const ANSWER = { sport: 53, dport: 4000 };
  const asked = (called: string): Uint8Array =>
    packet().ip(A1.v6, called).udp({ sport: 4000, dport: 53 }).payload(8).frame();

  test.each([1261, 1431, 1450])("from another node, without DF, %i bytes", async (length) => {
    const fixture = await node();
    fixture.egress(asked(ROUND_ROBIN.d.v6));
    const answer = udp(D1.instanceV4, A1.v4, length, 0, ANSWER);
    const result = fixture.ingress({ ...FROM.d, bytes: answer.bytes() });
    const out = sent(result);
    expect(out.map((bytes) => bytes.length <= LEAST)).toEqual([true, true]);
    expect(payloadOf(out)).toEqual(answer.bytes().slice(28));
    expect(result.counts).toMatchObject({ ingressPackets: 2, packetsFragmented: 1 });
  });

  test("from another node, with DF: as it is, since the next router tells its sender", async () => {
    const fixture = await node();
    fixture.egress(asked(ROUND_ROBIN.d.v6));
    const answer = udp(D1.instanceV4, A1.v4, 1450, DONT_FRAGMENT, ANSWER);
    const [out] = sent(fixture.ingress({ ...FROM.d, bytes: answer.bytes() }));
    expect(out?.length).toBe(1470);
  });

  test.each([
    ["in order", [0, 1, 2]],
    ["the first one last", [2, 1, 0]],
  ] as const)("from another node in fragments, %s: in smaller ones", async (_order, order) => {
    const fixture = await node();
    fixture.egress(asked(ROUND_ROBIN.d.v6));
    const answer = udp(D1.instanceV4, A1.v4, 4000, 0, ANSWER);
    const fragments = fragmentsOf(answer.bytes(), 1408);
    const out = sent(fixture.ingress(...order.map((i) => ({ ...FROM.d, bytes: nth(fragments, i) }))));
    expect(out.map((bytes) => bytes.length <= LEAST)).toEqual(out.map(() => true));
    expect(payloadOf(out)).toEqual(answer.bytes().slice(28));
  });

  test.each([1431, 3000])("from this node, without DF, %i bytes", async (length) => {
    const fixture = await node();
    fixture.egress(asked(FOUR.v6));
    const answer = udp(FOUR.v4, A1.instanceV4, length, 0, ANSWER);
    const out = sent(fixture.egress(virtioFrame(answer.bytes(), {})));
    expect(out.map((bytes) => bytes.length <= LEAST)).toEqual(out.map(() => true));
    expect(payloadOf(out)).toEqual(answer.bytes().slice(28));
  });
});

describe("IPv6 to an instance with IPv4 alone", () => {
  test.each([
    [1261, true],
    [1260, false],
  ])("%i bytes in IPv4: DF is %s", async (length, isSet) => {
    const fixture = await node();
    const call = udpPacket(C1.v6, ROUND_ROBIN.d.v6, 4000, 53, length - 28).frame();
    const [out] = sent(fixture.egress(call));
    expect([out?.length, ((out?.[6] ?? 0) & 0x40) !== 0]).toEqual([length, isSet]);
  });

  test("fragments lose their header and have DF clear", async () => {
    const fixture = await node();
    const call = packet().ip(C1.v6, ROUND_ROBIN.d.v6).udp({ sport: 4000, dport: 53 }).payload(3000).bytes();
    const out = sent(fixture.egress(...fragmentsOf(call, 1400, 7).map((bytes) => virtioFrame(bytes, {}))));
    expect(out.map((bytes) => bytes.length)).toEqual([1420, 1420, 228]);
    expect(out.map((bytes) => (bytes[6] as number) & 0x40)).toEqual([0, 0, 0]);
  });
});
