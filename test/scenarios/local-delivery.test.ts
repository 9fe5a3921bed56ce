// Both ends on this node: the packet goes back into the TUN, translated both ways, its offloads left as they are.
import { describe, expect, test } from "vitest";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { addressBytes, FLAG, packet, tcpPacket, udpPacket, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, from, sameBut, to, transportChecksum, validChecksums } from "../support/packet-checks.ts";
import { packetIn, writtenPacket } from "../support/packets-of.ts";
import { pseudoHeaderSum } from "../support/reference/checksum.ts";
import { A1, C1, onNodeA, ROUND_ROBIN } from "../support/world.ts";

const FAMILIES = [
  {
    family: "IPv4",
    client: A1.v4,
    source: A1.instanceV4,
    called: ROUND_ROBIN.c.v4,
    calledInstance: C1.instanceV4,
    target: C1.v4,
    own: ROUND_ROBIN.a.v4,
    header: 20,
    gso: Virtio.GSO_TCPV4,
  },
  {
    family: "IPv6",
    client: A1.v6,
    source: A1.instanceV6,
    called: ROUND_ROBIN.c.v6,
    calledInstance: C1.instanceV6,
    target: C1.v6,
    own: ROUND_ROBIN.a.v6,
    header: 40,
    gso: Virtio.GSO_TCPV6,
  },
];

describe.each(FAMILIES)("$family local delivery", (one) => {
  const { client, source, called, calledInstance, target, own, header, gso } = one;

  test("request and answer cross the TUN and never the tunnel", async () => {
    const fixture = await onNodeA();
    const request = packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN }).bytes();
    const there = fixture.egress(virtioFrame(request, {}));
    expect(there.datagrams).toEqual([]);
    expectPacket(
      writtenPacket(there),
      from(source, 40000),
      to(target, 80),
      validChecksums(),
      sameBut(request, "addresses"),
    );
    expect(there.counts).toEqual({ localPackets: 1, localBytes: header + 20, flowsOpened: 1, policyChoices: 1 });

    const answer = tcpPacket(target, source, { sport: 80, dport: 40000, flags: FLAG.SYN | FLAG.ACK }).bytes();
    const back = fixture.egress(virtioFrame(answer, {}));
    expectPacket(
      writtenPacket(back),
      from(called, 80),
      to(client, 40000),
      validChecksums(),
      sameBut(answer, "addresses"),
    );
    // The answer is the first packet of the target's own flow to the client's instance address.
    expect(back.counts).toEqual({ localPackets: 1, localBytes: header + 20, flowsOpened: 1 });

    const next = packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.ACK }).payload("data").bytes();
    const third = fixture.egress(virtioFrame(next, {}));
    expectPacket(writtenPacket(third), from(source, 40000), to(target, 80), validChecksums());
    expect(third.counts).toEqual({ localPackets: 1, localBytes: header + 24 });
  });

  test("the instance address of a workload of this node works the same", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(client, calledInstance).udp({ sport: 9, dport: 53 }).payload("q").frame());
    const back = fixture.egress(packet().ip(target, source).udp({ sport: 53, dport: 9 }).payload("a").frame());
    expectPacket(writtenPacket(back), from(calledInstance, 53), to(client, 9), validChecksums());
  });

  test("a workload that calls its own service reaches itself", async () => {
    const fixture = await onNodeA();
    const there = fixture.egress(packet().ip(client, own).udp({ sport: 9, dport: 53 }).payload("q").frame());
    expectPacket(writtenPacket(there), from(source, 9), to(client, 53), validChecksums());
    const back = fixture.egress(packet().ip(client, source).udp({ sport: 53, dport: 9 }).payload("a").frame());
    expectPacket(writtenPacket(back), from(own, 53), to(client, 9), validChecksums());
  });

  test("an unfinished checksum stays unfinished and right", async () => {
    const fixture = await onNodeA();
    const frame = packet().ip(client, called).tcp({ sport: 40000, dport: 80 }).payload(1000).offloadFrame();
    const [write] = fixture.egress(frame).tunWrites;
    expect(write?.subarray(0, 10)).toEqual(frame.subarray(0, 10));
    const bytes = packetIn(write);
    const expected = pseudoHeaderSum(addressBytes(source), addressBytes(target), 6, 1020);
    expect(transportChecksum(bytes) % 0xffff).toBe(expected % 0xffff);
  });

  test("a super-packet is delivered in one piece and counts as its segments", async () => {
    const fixture = await onNodeA();
    const payload = 3500;
    const frame = tcpPacket(client, called, { sport: 40000, dport: 80 }, payload).offloadFrame({
      gsoType: gso,
      gsoSize: 1000,
    });
    const result = fixture.egress(frame);
    expect(result.tunWrites.map((write) => write.length)).toEqual([frame.length]);
    expect(result.tunWrites[0]?.subarray(0, 10)).toEqual(frame.subarray(0, 10));
    expect(result.counts).toEqual({
      localPackets: 4,
      localBytes: payload + 4 * (header + 20),
      flowsOpened: 1,
      policyChoices: 1,
    });
  });

  test("a run of UDP datagrams is delivered in one piece", async () => {
    const fixture = await onNodeA();
    const frame = udpPacket(client, called, 40000, 53, 950).offloadFrame({ gsoType: Virtio.GSO_UDP_L4, gsoSize: 100 });
    const result = fixture.egress(frame);
    expect(result.tunWrites.map((write) => write.length)).toEqual([frame.length]);
    expect(result.counts.localPackets).toBe(10);
    expect(result.counts.localBytes).toBe(950 + 10 * (header + 8));
  });
});
