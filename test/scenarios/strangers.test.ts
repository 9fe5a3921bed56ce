// What a node accepts from hosts that are no node of its tables, and from nodes that send from elsewhere.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { FLAG, packet, tcpPacket } from "../support/packet-builder.ts";
import { expectPacket, from, to, validChecksums } from "../support/packet-checks.ts";
import { writtenPacket } from "../support/packets-of.ts";
import { A1, B1, C1, FROM, instance, NODE, onNodeA, ROUND_ROBIN, serviceB, UNKNOWN, world } from "../support/world.ts";

const STRANGERS = { memory: { answers: HeaderLayout.ACCEPT_STRANGERS } };
const ANYWHERE = { anyPort: false, addresses: [], anyAddress: true, unknownSources: false };
/** Instance b 1 alone, on a node that may send from anywhere. */
const ROAMING = {
  ...world(serviceB([instance(1, "node-b", B1)])),
  nodes: [{ ...NODE.b, accept: ANYWHERE }, NODE.c, NODE.d],
};

describe.each([
  { family: "IPv4", client: A1.v4, own: C1.instanceV4, peer: B1.instanceV4, unknown: UNKNOWN.v4, at: "v4" },
  { family: "IPv6", client: A1.v6, own: C1.instanceV6, peer: B1.instanceV6, unknown: UNKNOWN.v6, at: "v6" },
] as const)("$family", ({ client, own, peer, unknown, at }) => {
  const called = ROUND_ROBIN.b[at];
  const asked = (source: string) => packet().ip(source, client).udp({ sport: 5000, dport: 80 }).bytes();

  test("a stranger may ask in the name of an address that the tables lack, if strangers may send", async () => {
    const fixture = await onNodeA(STRANGERS);
    const { tunWrites } = fixture.ingress({ ...FROM.stranger, bytes: asked(unknown) });
    expectPacket(writtenPacket({ tunWrites }), from(unknown, 5000), to(client, 80), validChecksums());
    const closed = await onNodeA();
    expect(closed.ingress({ ...FROM.stranger, bytes: asked(unknown) }).tunWrites).toEqual([]);
    expect(closed.countsSinceStart()).toEqual({ "ingressDrop.unknownNode": 1 });
  });

  test.each([
    ["an instance of a node that sends from its own address only", peer, "wrongNode"],
    ["an instance of this node", own, "wrongNode"],
    ["a service address", called, "balancedSource"],
    ["an address outside the service ranges", at === "v4" ? "198.51.100.9" : "2001:db8::99", "notServiceSource"],
  ])("a stranger may not ask in the name of %s", async (_whose, source, reason) => {
    const fixture = await onNodeA(STRANGERS);
    expect(fixture.ingress({ ...FROM.stranger, bytes: asked(source) }).tunWrites).toEqual([]);
    expect(fixture.countsSinceStart()).toEqual({ [`ingressDrop.${reason}`]: 1 });
  });

  test("a node that may send from anywhere asks and answers from there [behaviour 9, measured 7]", async () => {
    const fixture = await onNodeA({ ...STRANGERS, tables: ROAMING });
    expect(fixture.ingress({ ...FROM.stranger, bytes: asked(peer) }).tunWrites).toHaveLength(1);
    fixture.egress(packet().ip(client, called).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN }).frame());
    const answer = tcpPacket(peer, client, { sport: 80, dport: 40000, flags: FLAG.SYN | FLAG.ACK }).bytes();
    const { tunWrites } = fixture.ingress({ ...FROM.stranger, bytes: answer });
    expectPacket(writtenPacket({ tunWrites }), from(called, 80), to(client, 40000), validChecksums());
  });

  test("another node may deliver what is of a node that sends from anywhere", async () => {
    const fixture = await onNodeA({ tables: ROAMING });
    const { address, port } = NODE.d.underlay;
    expect(fixture.ingress({ address, port, bytes: asked(peer) }).tunWrites).toHaveLength(1);
  });
});
