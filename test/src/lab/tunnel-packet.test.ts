import { describe, expect, test } from "vitest";
import { innerPackets } from "../../../src/lab/tunnel-packet.ts";

const TUNNEL_PORT = 50103;

function ipv4(protocol: number, src: string, dst: string, payload: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header[9] = protocol;
  header.set(src.split(".").map(Number), 12);
  header.set(dst.split(".").map(Number), 16);
  return Buffer.concat([header, payload]);
}

function ipv6(protocol: number, src: readonly number[], dst: readonly number[], payload: Buffer): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(payload.length, 4);
  header[6] = protocol;
  src.forEach((group, index) => void header.writeUInt16BE(group, 8 + 2 * index));
  dst.forEach((group, index) => void header.writeUInt16BE(group, 24 + 2 * index));
  return Buffer.concat([header, payload]);
}

function udp(srcPort: number, dstPort: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(srcPort, 0);
  header.writeUInt16BE(dstPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

const innerV4 = ipv4(17, "10.30.1.5", "10.18.3.1", udp(1025, 80, Buffer.from("one")));
const innerV6 = ipv6(
  17,
  [0xfdff, 0, 0, 0, 0, 0, 0, 0x105],
  [0xfc00, 0, 0, 0, 0, 0x18, 3, 1],
  udp(1026, 80, Buffer.from("two")),
);
const readV4 = { protocol: 17, src: "10.30.1.5", dst: "10.18.3.1", srcPort: 1025, dstPort: 80 };
const readV6 = { protocol: 17, src: "fdff::105", dst: "fc00::18:3:1", srcPort: 1026, dstPort: 80 };

function outerV4(...inner: Buffer[]): Buffer {
  return ipv4(17, "192.0.2.11", "192.0.2.12", udp(50103, TUNNEL_PORT, Buffer.concat(inner)));
}

describe("innerPackets", () => {
  const outerOverV6 = ipv6(
    17,
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1],
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2],
    udp(1, TUNNEL_PORT, innerV4),
  );
  test.for([
    ["an IPv4 packet", outerV4(innerV4), [readV4]],
    ["an IPv6 packet", outerV4(innerV6), [readV6]],
    ["a packet over IPv6", outerOverV6, [readV4]],
    [
      "several packets of a datagram that is not yet segmented",
      outerV4(innerV4, innerV6, innerV4),
      [readV4, readV6, readV4],
    ],
  ] as const)("reads %s", ([, outer, expected]) => {
    expect(innerPackets(outer, TUNNEL_PORT)).toEqual(expected);
  });

  test.for([
    ["nothing", Buffer.alloc(0)],
    ["another port", ipv4(17, "192.0.2.11", "192.0.2.12", udp(50103, 4789, innerV4))],
    ["another protocol", ipv4(6, "192.0.2.11", "192.0.2.12", udp(50103, TUNNEL_PORT, innerV4))],
    ["a probe, which is no IP packet", outerV4(Buffer.from([0x53, 0x57, 1, 1]))],
    ["an empty datagram", outerV4()],
    ["a cut inner header", outerV4(innerV4.subarray(0, 19))],
    ["an inner packet without ports", outerV4(innerV4.subarray(0, 21))],
    ["an inner packet of no length", outerV4(Buffer.from(innerV4).fill(0, 2, 4))],
    ["a cut outer header", outerV4(innerV4).subarray(0, 22)],
  ] as const)("finds no packet in %s", ([, outer]) => {
    expect(innerPackets(outer, TUNNEL_PORT)).toEqual([]);
  });
});
