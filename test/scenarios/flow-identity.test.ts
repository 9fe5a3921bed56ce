// Which flow a packet belongs to, and which instance a new one gets.
import { describe, expect, test } from "vitest";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { answer, counted, ONE, SYN } from "../support/first-flow.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { expectPacket, from, to, validChecksums, viewPacket } from "../support/packet-checks.ts";
import { packetIn, sentPacket, writtenPacket } from "../support/packets-of.ts";
import {
  A1,
  B1,
  B2,
  C1,
  CLOSEST,
  D1,
  FROM,
  instance,
  onNodeA,
  ROUND_ROBIN,
  SERVICE,
  serviceB,
  TO,
  world,
} from "../support/world.ts";

describe("a new connection on the ports of an old one", () => {
  async function closed(): Promise<EngineFixture> {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    fixture.ingress({ ...FROM.b, bytes: answer(FLAG.RST | FLAG.ACK) });
    fixture.policy = () => 2;
    return fixture;
  }

  test("SYN on a closed flow is a new flow, with a choice of its own", async () => {
    const fixture = await closed();
    const result = fixture.egress(SYN.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO.d);
    expect(counted(result.counts)).toEqual({ ...ONE, flowsRestarted: 1, flowsOpened: 1, policyChoices: 1 });
  });

  test.each([
    ["ACK", FLAG.ACK],
    ["SYN ACK", FLAG.SYN | FLAG.ACK],
    ["FIN", FLAG.FIN | FLAG.ACK],
    ["RST", FLAG.RST],
  ])("%s on a closed flow belongs to it", async (_what, flags) => {
    const fixture = await closed();
    const late = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80, flags }).frame();
    const result = fixture.egress(late);
    expect(result.datagrams[0]?.endpoint).toBe(TO.b);
    expect(counted(result.counts)).toEqual(ONE);
  });

  test("a repeated SYN on a flow that is open belongs to it", async () => {
    const fixture = await onNodeA();
    fixture.egress(SYN.frame());
    fixture.policy = () => 2;
    expect(fixture.egress(SYN.frame()).datagrams[0]?.endpoint).toBe(TO.b);
  });
});

describe("no crosstalk", () => {
  test("two clients of this node with one source port [defect 6, remedy 4]", async () => {
    const fixture = await onNodeA();
    for (const client of [A1, C1]) {
      const call = packet().ip(client.v4, ROUND_ROBIN.b.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame();
      expectPacket(sentPacket(fixture.egress(call)), from(client.instanceV4, 5000), to(B1.v4, 53));
    }
    for (const client of [A1, C1]) {
      const back = packet().ip(B1.instanceV4, client.v4).udp({ sport: 53, dport: 5000 }).payload("a").bytes();
      const [write] = fixture.ingress({ ...FROM.b, bytes: back }).tunWrites;
      expectPacket(packetIn(write), from(ROUND_ROBIN.b.v4, 53), to(client.v4, 5000), validChecksums());
    }
  });

  test("one socket that calls two services at different instances", async () => {
    const fixture = await onNodeA();
    const calls = [
      { called: ROUND_ROBIN.b.v4, target: B1.v4 },
      { called: ROUND_ROBIN.d.v4, target: D1.v4 },
    ];
    for (const { called, target } of calls) {
      const call = packet().ip(A1.v4, called).udp({ sport: 5000, dport: 53 }).payload("q").frame();
      expectPacket(sentPacket(fixture.egress(call)), from(A1.instanceV4, 5000), to(target, 53));
    }
    const back = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport: 5000 }).payload("a").bytes();
    expectPacket(writtenPacket(fixture.ingress({ ...FROM.b, bytes: back })), from(ROUND_ROBIN.b.v4, 53));
  });

  test("one socket that calls two addresses of one instance gets each answer from the right one", async () => {
    const fixture = await onNodeA();
    const wirePorts: number[] = [];
    for (const called of [ROUND_ROBIN.b.v4, CLOSEST.b.v4, B1.instanceV4]) {
      const call = packet().ip(A1.v4, called).udp({ sport: 5000, dport: 53 }).payload("q").frame();
      const result = fixture.egress(call);
      expectPacket(sentPacket(result), from(A1.instanceV4), to(B1.v4, 53), validChecksums());
      expect(result.counts.portsRewritten ?? 0).toBe(called === ROUND_ROBIN.b.v4 ? 0 : 1);
      wirePorts.push(viewPacket(sentPacket(result)).sport);
    }
    expect(new Set(wirePorts).size).toBe(3);
    expect(wirePorts[0]).toBe(5000);
    for (const [i, called] of [ROUND_ROBIN.b.v4, CLOSEST.b.v4, B1.instanceV4].entries()) {
      const dport = wirePorts[i] as number;
      const back = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport }).payload("a").bytes();
      const [write] = fixture.ingress({ ...FROM.b, bytes: back }).tunWrites;
      expectPacket(packetIn(write), from(called, 53), to(A1.v4, 5000), validChecksums());
    }
  });

  test("a changed port is covered by unfinished and segmented checksums too", async () => {
    const fixture = await onNodeA();
    const first = packet().ip(A1.v6, ROUND_ROBIN.b.v6).tcp({ sport: 5000, dport: 80 });
    const second = packet().ip(A1.v6, CLOSEST.b.v6).tcp({ sport: 5000, dport: 80 });
    fixture.egress(first.frame());
    for (const frame of [
      second.payload(100).offloadFrame(),
      second.payload(3000).offloadFrame({ gsoType: 4, gsoSize: 1000 }),
    ]) {
      const result = fixture.egress(frame);
      for (const { bytes } of result.datagrams) {
        expect(viewPacket(bytes).sport).not.toBe(5000);
        expectPacket(bytes, validChecksums());
      }
    }
  });

  test("TCP and UDP on the same ports", async () => {
    const fixture = await onNodeA();
    const tcp = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 5000, dport: 53, flags: FLAG.SYN }).frame();
    const udp = packet().ip(A1.v4, CLOSEST.b.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame();
    expect(fixture.egress(tcp).counts.portsRewritten).toBeUndefined();
    expect(fixture.egress(udp).counts.portsRewritten).toBeUndefined();
    const tcpBack = packet().ip(B1.instanceV4, A1.v4).tcp({ sport: 53, dport: 5000 }).bytes();
    const udpBack = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport: 5000 }).payload("a").bytes();
    const result = fixture.ingress({ ...FROM.b, bytes: tcpBack }, { ...FROM.b, bytes: udpBack });
    expectPacket(writtenPacket(result), from(ROUND_ROBIN.b.v4, 53));
    expectPacket(writtenPacket(result, 1), from(CLOSEST.b.v4, 53));
  });

  test("IPv4 and IPv6 on the same ports", async () => {
    const fixture = await onNodeA();
    for (const [client, called] of [
      [A1.v4, ROUND_ROBIN.b.v4],
      [A1.v6, ROUND_ROBIN.b.v6],
    ] as const) {
      const result = fixture.egress(packet().ip(client, called).udp({ sport: 5000, dport: 53 }).payload("q").frame());
      expect(result.counts.flowsOpened).toBe(1);
    }
  });

  test("local flows do not meet flows of other nodes [defect 7, remedy 4]", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.c.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame());
    fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 5000, dport: 53 }).payload("q").frame());
    const spoofed = packet().ip(C1.instanceV4, A1.v4).udp({ sport: 53, dport: 5000 }).payload("a").bytes();
    expect(fixture.ingress({ ...FROM.b, bytes: spoofed }).counts).toEqual({ "ingressDrop.wrongNode": 1 });
    const local = packet().ip(C1.v4, A1.instanceV4).udp({ sport: 53, dport: 5000 }).payload("a").frame();
    expectPacket(writtenPacket(fixture.egress(local)), from(ROUND_ROBIN.c.v4, 53), to(A1.v4, 5000));
  });
});

describe("the choice", () => {
  test.each([
    ["nothing", -1],
    ["an index beyond the candidates", 3],
    ["the largest number", 0x7fffffff],
    ["the most negative number", -0x80000000],
  ])("a policy that answers %s is replaced by the engine's own choice", async (_what, index) => {
    const fixture = await onNodeA({ policy: () => index });
    const result = fixture.egress(SYN.frame());
    expect([TO.b, TO.c, TO.d]).toContain(result.datagrams[0]?.endpoint);
    expect(counted(result.counts)).toEqual({ ...ONE, flowsOpened: 1, policyFallbacks: 1 });
  });

  test("the engine's own choice spreads flows over all instances", async () => {
    const fixture = await onNodeA({ policy: () => -1 });
    const perEndpoint = new Map<string, number>();
    for (let sport = 1; sport <= 300; sport++) {
      const frame = packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport, dport: 53 }).payload("q").frame();
      const endpoint = fixture.egress(frame).datagrams[0]?.endpoint as string;
      perEndpoint.set(endpoint, (perEndpoint.get(endpoint) ?? 0) + 1);
    }
    expect([...perEndpoint.keys()].sort()).toEqual([TO.b, TO.c, TO.d].sort());
    for (const share of perEndpoint.values()) expect(share).toBeGreaterThan(50);
  });

  test("a policy's choice of a draining instance is not followed", async () => {
    const fixture = await onNodeA({ policy: () => 0 });
    await fixture.apply(world(serviceB([instance(1, "node-b", B1, true), instance(2, "node-c", B2)])));
    const result = fixture.egress(SYN.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO.c);
    expect(result.counts.policyFallbacks).toBe(1);
  });

  test("a service without instances has none", async () => {
    const fixture = await onNodeA();
    const frame = packet().ip(A1.v4, ROUND_ROBIN.empty.v4).tcp({ sport: 1, dport: 2 }).frame();
    const result = fixture.egress(frame);
    expect(result.counts).toEqual({ "egressDrop.noInstance": 1 });
    expect(result.choices).toEqual([]);
  });

  test("a client without an instance address of the family cannot call", async () => {
    const half = { ...instance(1, "node-a", A1), instanceAddresses: [A1.instanceV4] };
    const fixture = await onNodeA({
      tables: { ...world(), services: [{ ...SERVICE.a, instances: [half] }, serviceB()] },
    });
    const v6 = packet().ip(A1.v6, ROUND_ROBIN.b.v6).tcp({ sport: 1, dport: 2 }).frame();
    expect(fixture.egress(v6).counts).toEqual({ policyChoices: 1, "egressDrop.noAddressOfFamily": 1 });
    expect(fixture.egress(SYN.frame()).counts.egressPackets).toBe(1);
  });
});
