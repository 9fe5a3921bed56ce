// UDP that carries packets, and UDP that ends before its packet does: the kernel leaves the checksum of the packet inside to
// the device (linux/virtio_net.h), and counts on it around (checksum-offloads.rst, "LCO"); options of UDP (RFC 9868).
import { describe, expect, test } from "vitest";
import * as Virtio from "../../assembly/shared/virtio.ts";
import type { Service } from "../../src/model/tables.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import type { Result } from "../support/engine-result.ts";
import { type PacketBuilder, packet, pad, virtioFrame } from "../support/packet-builder.ts";
import { pseudoHeaderSum, sumWords } from "../support/reference/checksum.ts";
import { A1, B1, C1, FROM, instance, onNodeA, ROUND_ROBIN, service, serviceB, world } from "../support/world.ts";

/** With IPv6 alone, so that a call in IPv4 changes its family. */
const SIX: Service = {
  ...service("six", [], "10.30.2.1"),
  instances: [
    { ...instance(1, "node-b", B1), namespaceAddresses: ["fc00::66"], instanceAddresses: ["10.30.2.66", "fdff::66"] },
  ],
};
const VXLAN = [8, 0, 0, 0, 0, 0, 42, 0, ...Array<number>(12).fill(2), 8, 0];
const INNER = packet().ip("10.0.0.1", "10.0.0.2").tcp({ sport: 1, dport: 2 }).payload("some text");

const WAYS = [
  ["IPv4 to another node", A1.v4, ROUND_ROBIN.b.v4],
  ["IPv6 to another node", A1.v6, ROUND_ROBIN.b.v6],
  ["IPv4 to IPv6", A1.v4, "10.30.2.1"],
  ["IPv4 within the node", A1.v4, C1.instanceV4],
  ["IPv6 within the node", A1.v6, C1.instanceV6],
] as const;

function node(): Promise<EngineFixture> {
  return onNodeA({ tables: world(serviceB(), SIX) });
}

function sent(result: Result): Uint8Array {
  const [datagram] = result.datagrams;
  return datagram?.bytes ?? (result.tunWrites[0]?.subarray(Virtio.SIZE) as Uint8Array);
}

function headerLength(bytes: Uint8Array): number {
  return (bytes[0] as number) >> 4 === 4 ? 20 : 40;
}

/** Sum of what the UDP checksum covers, all ones if it is right. */
function udpSum(bytes: Uint8Array): number {
  const at = headerLength(bytes);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint16(at + 4);
  const [source, destination] =
    at === 20 ? [bytes.subarray(12, 16), bytes.subarray(16, 20)] : [bytes.subarray(8, 24), bytes.subarray(24, 40)];
  const pseudo = pseudoHeaderSum(source, destination, 17, length);
  return (pseudo + sumWords(bytes, at, at + length)) % 0xffff;
}

describe.each(WAYS)("%s", (_way, src, dst) => {
  const outer = packet().ip(src, dst).udp({ sport: 40_000, dport: 4789 });
  const around = outer.payload(Uint8Array.from([...VXLAN, ...INNER.bytes()]));
  const innerAt = (bytes: Uint8Array): number => headerLength(bytes) + 8 + VXLAN.length;

  /** As the kernel leaves it: the outer checksum is that of the finished packet. */
  function unfinished(build: PacketBuilder): Uint8Array {
    const bytes = build.bytes();
    const at = innerAt(bytes);
    bytes.set(INNER.offloadFrame().subarray(Virtio.SIZE), at);
    return virtioFrame(bytes, { flags: Virtio.F_NEEDS_CSUM, csumStart: at + 20, csumOffset: 16 });
  }

  test("TCP in VXLAN: the checksum inside is finished, the one around is right", async () => {
    const fixture = await node();
    const bytes = sent(fixture.egress(unfinished(around)));
    expect(bytes.subarray(innerAt(bytes))).toEqual(INNER.bytes());
    expect(udpSum(bytes)).toBe(0);
  });

  test("TCP in VXLAN without a checksum around: none, or in IPv6 after IPv4 a right one", async () => {
    const fixture = await node();
    const frame = unfinished(
      packet()
        .ip(src, dst)
        .udp({ sport: 40_000, dport: 4789, checksum: 0 })
        .payload(Uint8Array.from([...VXLAN, ...INNER.bytes()])),
    );
    const bytes = sent(fixture.egress(frame));
    expect(bytes.subarray(innerAt(bytes))).toEqual(INNER.bytes());
    const at = headerLength(bytes) + 6;
    if (src.includes(":") === (headerLength(bytes) === 40))
      expect(bytes.subarray(at, at + 2)).toEqual(Uint8Array.of(0, 0));
    else expect(udpSum(bytes)).toBe(0);
  });

  test("UDP that is shorter than its packet keeps what is behind it, and its checksum", async () => {
    const fixture = await node();
    const whole = outer.payload("twelve bytes").bytes();
    const longer = pad(whole, 7, 0xab);
    const view = new DataView(longer.buffer, longer.byteOffset);
    if (headerLength(longer) === 20) {
      view.setUint16(2, longer.length);
      view.setUint16(10, 0);
      view.setUint16(10, ~sumWords(longer, 0, 20) & 0xffff);
    } else view.setUint16(4, longer.length - 40);
    const bytes = sent(fixture.egress(virtioFrame(longer, {})));
    expect(bytes.subarray(headerLength(bytes) + 20)).toEqual(new Uint8Array(7).fill(0xab));
    expect(udpSum(bytes)).toBe(0);
  });
});

test("received datagrams with options are not joined to others", async () => {
  const fixture = await onNodeA({ memory: { offloads: 7 } });
  const plain = packet().ip(B1.instanceV6, A1.v6).udp({ sport: 1, dport: 2 }).payload(100).bytes();
  const shorter = plain.slice();
  new DataView(shorter.buffer).setUint16(44, 50);
  const result = fixture.ingress(...[plain, shorter, plain].map((bytes) => ({ ...FROM.b, bytes })));
  expect(result.frames).toHaveLength(3);
});

test.each([
  ["before the transport header", 19, 2],
  ["behind the end", 48, 3],
])("a checksum %s is none", async (_where, csumStart, csumOffset) => {
  const fixture = await node();
  const bytes = packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 1, dport: 2 }).payload(24).bytes();
  const frame = virtioFrame(bytes, { flags: Virtio.F_NEEDS_CSUM, csumStart, csumOffset });
  expect(fixture.egress(frame).counts).toEqual({ "egressDrop.badOffload": 1 });
});
