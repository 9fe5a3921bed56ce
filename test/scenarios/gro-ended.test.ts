// UDP_GRO was switched off: the kernel still gives datagrams that it had joined, without telling their size.
import { expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { udpPacket } from "../support/packet-builder.ts";
import { packetIn } from "../support/packets-of.ts";
import { A1, B1, FROM, onNodeA } from "../support/world.ts";

function datagrams(source: string, destination: string, sizes: readonly number[]): Uint8Array[] {
  return sizes.map((size, i) => udpPacket(source, destination, 53, 4000 + i, size).bytes());
}

async function afterGro(): Promise<EngineFixture> {
  const fixture = await onNodeA({ withoutTwin: true });
  Atomics.store(fixture.shared.i32, (HeaderLayout.AT + HeaderLayout.OFFLOADS) >>> 2, HeaderLayout.OFFLOAD_GRO_ENDED);
  return fixture;
}

const FAMILIES = [
  ["IPv4", B1.instanceV4, A1.v4],
  ["IPv6", B1.instanceV6, A1.v6],
] as const;

test.each(FAMILIES)("joined %s datagrams are told apart by their packets' lengths", async (_family, from, to) => {
  const fixture = await afterGro();
  const parts = datagrams(from, to, [100, 100, 100, 7]);
  const result = fixture.ingress({ ...FROM.b, bytes: Buffer.concat(parts) });
  expect(result.tunWrites.map((write) => packetIn(write))).toEqual(parts.map((part) => new Uint8Array(part)));
  expect(result.counts).toMatchObject({ ingressPackets: 4 });
});

test.each(FAMILIES)("a single %s datagram stays one", async (_family, from, to) => {
  const fixture = await afterGro();
  const [part = new Uint8Array()] = datagrams(from, to, [100]);
  const result = fixture.ingress({ ...FROM.b, bytes: part });
  expect(result.tunWrites.map((write) => packetIn(write))).toEqual([new Uint8Array(part)]);
});

test.each([
  ["a length of 0", [0x45, 0, 0, 0], "badTotalLength"],
  ["a length beyond the bytes that came", [0x45, 0, 0xff, 0xff], "badTotalLength"],
  ["neither version", [0x55, 0, 0, 40], "notIp"],
] as const)("%s is one drop", async (_what, start, reason) => {
  const fixture = await afterGro();
  const bytes = new Uint8Array(120);
  bytes.set(start);
  const result = fixture.ingress({ ...FROM.b, bytes });
  expect(result.tunWrites).toEqual([]);
  expect(result.counts).toEqual({ [`ingressDrop.${reason}`]: 1 });
});

test("as long as UDP_GRO was never switched off, bytes behind a packet are padding", async () => {
  const fixture = await onNodeA();
  const parts = datagrams(B1.instanceV4, A1.v4, [100, 100]);
  const result = fixture.ingress({ ...FROM.b, bytes: Buffer.concat(parts) });
  expect(result.tunWrites).toHaveLength(1);
});
