// The judges of captured packets can fail: one wrong byte is found, and a lab in whose tunnel it was does not close in
// silence.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { Lab } from "../../src/lab/lab.ts";
import { Sandbox } from "../../src/lab/sandbox.ts";
import { faultsIn, protocolsIn } from "../support/judges.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { corrupt, type PacketBuilder, packet } from "../support/packet-builder.ts";
import { judgeWorkloads, Recordings } from "../support/recording.ts";
import { TWO_NODES } from "../support/topologies.ts";

const LINKTYPE_RAW = 101; // a packet begins with its IP header
const V4 = ["192.0.2.1", "192.0.2.2"] as const;
const V6 = ["2001:db8::1", "2001:db8::2"] as const;
const PORTS = { sport: 40_000, dport: 7777 };
const ECHO = { words: [1, 1] } as const;

const [TCP, TCP_OVER_IPV6] = bothFamilies((ends) => ends.tcp(PORTS).payload(100));
const [UDP, UDP_OVER_IPV6] = bothFamilies((ends) => ends.udp(PORTS).payload(100));
const [ICMP, ICMPV6] = bothFamilies((ends, isIpv4) => ends.icmp({ type: isIpv4 ? 8 : 128, ...ECHO }).payload(56));
const VALID = [TCP, UDP, TCP_OVER_IPV6, UDP_OVER_IPV6, ICMP, ICMPV6];

/** Where a byte of a checksum or length lies: behind an IPv4 header without options, or IPv6's. */
const FLIPPED = [
  { what: "an IPv4 header's checksum", valid: TCP, at: 10 },
  { what: "TCP's checksum", valid: TCP, at: 20 + 16 },
  { what: "UDP's checksum", valid: UDP, at: 20 + 6 },
  { what: "ICMP's checksum", valid: ICMP, at: 20 + 2 },
  { what: "TCP's checksum over IPv6", valid: TCP_OVER_IPV6, at: 40 + 16 },
  { what: "UDP's checksum over IPv6", valid: UDP_OVER_IPV6, at: 40 + 6 },
  { what: "ICMPv6's checksum", valid: ICMPV6, at: 40 + 2 },
  { what: "UDP's length", valid: UDP, at: 20 + 4 },
  { what: "an IPv4 header's length", valid: UDP, at: 2 },
  { what: "an IPv6 header's length", valid: UDP_OVER_IPV6, at: 4 },
];

describeLab("the judges", () => {
  let sandbox: Sandbox;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "sapwood-judges-"));
    sandbox = await Sandbox.open();
  });
  afterAll(async () => {
    await sandbox?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("find nothing in packets that are right, of every protocol", async () => {
    const file = capture(VALID);
    expect(await faultsIn(sandbox, file)).toEqual([]);
    expect(await protocolsIn(sandbox, file)).toEqual(["TCP", "UDP", "TCP", "UDP", "ICMP", "ICMPv6"]);
  });

  test.each(FLIPPED)("find a flipped byte in $what, and say in which packet", async ({ valid, at }) => {
    const faults = await faultsIn(sandbox, capture([...VALID, flipped(valid, at)]));
    expect(faults.length).toBeGreaterThan(0); // not each judge minds everything
    const [source, destination] = (valid[0] ?? 0) >> 4 === 6 ? V6 : V4;
    for (const fault of faults) expect(fault).toMatch(new RegExp(`${source}.* ${destination}`));
  });

  function capture(packets: readonly Uint8Array[]): string {
    const file = join(folder, "packets.pcap");
    writeFileSync(file, pcap(packets));
    return file;
  }
});

describeLab("a recording", () => {
  const lab = useLab(() => Lab.open(TWO_NODES)); // without proxies: it is the node's kernel that sends

  test("holds what a workload got just before it ended", async () => {
    const recordings = await Recordings.ofWorkloads(lab());
    const [node] = TWO_NODES.nodes;
    const workload = TWO_NODES.workloads.find((each) => each.node === node?.id);
    const send = `const socket = dgram.createSocket("udp4");
      socket.send("the last word", 9, "${workload?.addresses.v4}", () => socket.close())`;
    await lab().sandbox.expect([process.execPath, "-e", send], node?.id);
    const { protocols } = await judgeWorkloads(lab(), recordings);
    expect(protocols).toContain("UDP");
  });
});

describeLab("a lab", () => {
  test.each([
    ["closes in silence after a packet that is right", UDP, undefined],
    [
      "fails to close after one with a wrong checksum in the tunnel, and names it",
      flipped(UDP, 26),
      /192\.0\.2\.1.* UDP /,
    ],
  ])("%s", async (_what, bytes, complaint) => {
    const lab = await openLab(TWO_NODES, async ({ sandbox }) => {
      // Both know each other's link address then, and nothing has to wait for it.
      await sandbox.expect(["ping", "-c", "1", TWO_NODES.nodes[1]?.underlay.v4 ?? ""], "node-a");
    });
    const hex = Buffer.from(bytes).toString("hex");
    const send = `const socket = dgram.createSocket("udp4");
      socket.send(Buffer.from("${hex}", "hex"), ${TUNNEL_PORT}, "${TWO_NODES.nodes[1]?.underlay.v4}", () => socket.close())`;
    await lab.sandbox.expect([process.execPath, "-e", send], "node-a");
    const closed = lab.close();
    if (complaint === undefined) await closed;
    else await expect(closed).rejects.toThrow(complaint);
  });
});

function bothFamilies(
  build: (ends: PacketBuilder, isIpv4: boolean) => PacketBuilder,
): readonly [Uint8Array, Uint8Array] {
  return [build(packet().ip(...V4), true).bytes(), build(packet().ip(...V6), false).bytes()];
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  return corrupt(bytes, at, (bytes[at] ?? 0) ^ 0xff);
}

function pcap(packets: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(0xffff, 16);
  header.writeUInt32LE(LINKTYPE_RAW, 20);
  const records = packets.flatMap((bytes) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(bytes.length, 12);
    return [record, bytes];
  });
  return Buffer.concat([header, ...records]);
}
