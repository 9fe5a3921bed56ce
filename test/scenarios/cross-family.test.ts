// Clients of one address family and instances of the other (RFC 7915); the twin watches every byte.
import { describe, expect, test } from "vitest";
import * as Protocol from "../../assembly/shared/protocol.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { corrupt, packet, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, from, to, validChecksums } from "../support/packet-checks.ts";
import { packetIn } from "../support/packets-of.ts";
import { pseudoHeaderSum, sumWords } from "../support/reference/checksum.ts";
import { A1, FROM, instance, onNodeA, service, serviceB, world } from "../support/world.ts";

const SIX = { v4: "10.18.3.6", v6: "fc00::18:3:6", instanceV4: "10.30.0.16", instanceV6: "fdff::16" };
const FOUR = { v4: "10.41.3.4", v6: "fc00::41:3:4", instanceV4: "10.30.0.14", instanceV6: "fdff::14" };
const SIX_CALLED = "10.30.0.66";
const FOUR_CALLED = "fdff:2000::44";

/** Instances that have one family inside, and addresses of both outside. */
const TABLES = world(
  serviceB(),
  service("six", [{ ...instance(1, "node-b", SIX), namespaceAddresses: [SIX.v6] }], SIX_CALLED),
  service("four", [{ ...instance(1, "node-d", FOUR), namespaceAddresses: [FOUR.v4] }], FOUR_CALLED),
);

const WAYS = [
  {
    what: "IPv4 to an IPv6 instance",
    client: A1.v4,
    called: SIX_CALLED,
    wire: [A1.instanceV6, SIX.v6],
    answer: [SIX.instanceV6, A1.v6],
    node: FROM.b,
  },
  {
    what: "IPv6 to an IPv4 instance",
    client: A1.v6,
    called: FOUR_CALLED,
    wire: [A1.instanceV4, FOUR.v4],
    answer: [FOUR.instanceV4, A1.v4],
    node: FROM.d,
  },
] as const;

describe.each(WAYS)("$what", ({ client, called, wire, answer, node }) => {
  test.each(["tcp", "udp"] as const)("%s goes there and back with right checksums", async (kind) => {
    const fixture = await onNodeA({ tables: TABLES });
    const ports = { sport: 40000, dport: 80 };
    const request = packet().ip(client, called)[kind](ports).payload("there").frame();
    const [sent] = fixture.egress(request).datagrams;
    expectPacket(sent?.bytes, from(wire[0], 40000), to(wire[1], 80), validChecksums());

    const reply = packet().ip(answer[0], answer[1])[kind]({ sport: 80, dport: 40000 }).payload("back").bytes();
    const [write] = fixture.ingress({ ...node, bytes: reply }).tunWrites;
    expectPacket(packetIn(write), from(called, 80), to(client, 40000), validChecksums());
  });

  test("the checksum of UDP-Lite stays right in both directions", async () => {
    const fixture = await onNodeA({ tables: TABLES });
    const [sent] = fixture.egress(virtioFrame(udpLite(client, called), {})).datagrams;
    expect(udpLiteSum(sent?.bytes)).toBe(0xffff);
    const [write] = fixture.ingress({ ...node, bytes: udpLite(answer[0], answer[1]) }).tunWrites;
    expect(udpLiteSum(packetIn(write))).toBe(0xffff);
  });

  test("an error about a first fragment is none itself", async () => {
    const fixture = await onNodeA({ tables: TABLES });
    const ports = { sport: 40000, dport: 80 };
    fixture.egress(packet().ip(client, called).udp(ports).payload(64).frame());
    const [quoted] = fragmentsOf(packet().ip(answer[1], answer[0]).udp(ports).payload(64).bytes(), 32, 7);
    const [write] = fixture.ingress({ ...node, bytes: error(answer, quoted) }).tunWrites;
    expect(isFragment(packetIn(write))).toBe(false);
  });

  test("a datagram without checksum is quoted without one", async () => {
    const fixture = await onNodeA({ tables: TABLES });
    fixture.egress(packet().ip(client, called).udp({ sport: 40000, dport: 80 }).payload("data").frame());
    const quoted = packet().ip(answer[1], answer[0]).udp({ sport: 40000, dport: 80, checksum: 0 }).payload(64).bytes();
    const cut = quoted.subarray(0, quoted.length - 60);
    const [write] = fixture.ingress({ ...node, bytes: error(answer, cut) }).tunWrites;
    const message = write?.subarray(10 + (client.includes(":") ? 40 + 8 + 40 : 20 + 8 + 20));
    expect([...(message?.subarray(6, 8) ?? [])]).toEqual([0, 0]);
  });
});

test("an error whose IPv4 header is wrong does not become a right one of IPv6", async () => {
  const fixture = await onNodeA({ tables: TABLES });
  fixture.egress(packet().ip(A1.v6, FOUR_CALLED).udp({ sport: 40000, dport: 80 }).payload("data").frame());
  const quoted = packet().ip(A1.v4, FOUR.instanceV4).udp({ sport: 40000, dport: 80 }).payload("data").bytes();
  const bytes = corrupt(error([FOUR.instanceV4, A1.v4], quoted), 8, 63);
  expect(fixture.ingress({ ...FROM.d, bytes }).counts).toEqual({ "ingressDrop.badHeaderChecksum": 1 });
});

test.each([
  [1260, 0],
  [1261, 0x40],
])(
  "an error that becomes %i bytes of IPv4 gets DF as any packet of that size (RFC 7915 section 5.1)",
  async (size, df) => {
    const fixture = await onNodeA({ tables: TABLES });
    const ports = { sport: 40000, dport: 80 };
    fixture.egress(packet().ip(A1.v4, SIX_CALLED).udp(ports).payload("data").frame());
    const payload = size - (20 + 8) - (20 + 8);
    const quoted = packet().ip(A1.v6, SIX.instanceV6).udp(ports).payload(payload).bytes();
    const [write] = fixture.ingress({ ...FROM.b, bytes: error([SIX.instanceV6, A1.v6], quoted) }).tunWrites;
    expect([write?.length, write?.[10 + 6]]).toEqual([10 + size, df]);
  },
);

/** "Port unreachable" about a packet. */
function error([src, dst]: readonly [string, string], quoted: Uint8Array = new Uint8Array(0)): Uint8Array {
  const [type, code] = src.includes(":") ? [1, 4] : [3, 3];
  return packet().ip(src, dst).icmp({ type, code }).payload(quoted).bytes();
}

/** Eight bytes of header, of which all is covered by the checksum, and a few of payload. */
function udpLite(src: string, dst: string): Uint8Array {
  const content = Uint8Array.of(0x9c, 0x40, 0, 80, 0, 0, 0, 0, 1, 2, 3, 4);
  const bytes = packet().ip(src, dst).protocol(Protocol.UDPLITE).payload(content).bytes();
  const view = new DataView(bytes.buffer);
  view.setUint16(bytes.length - 6, ~(udpLiteSum(bytes) as number) & 0xffff);
  return bytes;
}

/** All ones when the checksum is right. */
function udpLiteSum(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined) return undefined;
  const [source, destination, end] = (bytes[0] as number) >> 4 === 4 ? [12, 16, 20] : [8, 24, 40];
  const addresses = [bytes.subarray(source, destination), bytes.subarray(destination, end)] as const;
  const sum = pseudoHeaderSum(...addresses, Protocol.UDPLITE, bytes.length - end) + sumWords(bytes, end);
  return sum > 0xffff ? sum - 0xffff : sum;
}

function isFragment(bytes: Uint8Array | undefined): boolean | undefined {
  if (bytes === undefined) return undefined;
  if ((bytes[0] as number) >> 4 === 6) return bytes[6] === Protocol.FRAGMENT;
  return (((bytes[6] as number) & 0x3f) | (bytes[7] as number)) !== 0;
}
