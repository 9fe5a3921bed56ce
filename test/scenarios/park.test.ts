// Packets to addresses that nobody knows yet wait while the control plane is asked; everything else goes on.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { Questions } from "../../src/control/tables/questions.ts";
import { readQuestions } from "../../src/memory/questions.ts";
import type { Service } from "../../src/model/tables.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import type { Result } from "../support/engine-result.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { FLAG, packet, tcpPacket, udpPacket, virtioFrame } from "../support/packet-builder.ts";
import { expectPacket, flagsAre, from, to, validChecksums, viewPacket } from "../support/packet-checks.ts";
import { writtenPacket } from "../support/packets-of.ts";
import { inspectFlowTable } from "../support/reference/flow-table.ts";
import {
  A1,
  B1,
  B2,
  C1,
  FROM,
  instance,
  onNodeA,
  ROUND_ROBIN,
  serviceB,
  TO,
  UNKNOWN,
  world,
} from "../support/world.ts";

const PARK = { timeoutMs: 3000, packets: 4, bytes: 100_000 };
const PATIENCE = { timeout: 60_000 };
const OTHER_UNKNOWN = "10.30.88.88";
/** What the control plane learns. */
const LATE: Service = {
  name: "late",
  addresses: [UNKNOWN.v4, UNKNOWN.v6].map((address) => ({ address, policy: "round-robin" })),
  instances: [{ ...instance(1, "node-b", B1), instanceAddresses: ["10.30.9.9", "fdff::9:9"] }],
};

function parking(): Promise<EngineFixture> {
  return onNodeA({ memory: { park: PARK } });
}

function call(called: string, sport: number, client = A1): Uint8Array {
  const isV6 = called.includes(":");
  return udpPacket(isV6 ? client.v6 : client.v4, called, sport, 53, 20).frame();
}

function sourcePorts(result: Result): number[] {
  return result.datagrams.map(({ bytes }) => viewPacket(bytes).sport);
}

function questions(fixture: EngineFixture): string[] {
  return readQuestions(fixture.shared, fixture.nowMs, PARK.timeoutMs).map(({ address }) => address);
}

async function learn(fixture: EngineFixture): Promise<void> {
  await fixture.apply(world(serviceB([instance(2, "node-c", C1)]), LATE));
}

test("unless the configuration says so, nothing waits and nobody is asked", async () => {
  const fixture = await onNodeA();
  expect(fixture.egress(call(UNKNOWN.v4, 1)).counts).toEqual({ "egressDrop.unknownAddress": 1 });
  expect(questions(fixture)).toEqual([]);
});

test.each([UNKNOWN.v4, UNKNOWN.v6])(
  "packets to %s wait, are asked for once, and go out in their order",
  async (called) => {
    const fixture = await parking();
    const result = fixture.egress(call(called, 1), call(called, 2), call(called, 3));
    expect(result.datagrams).toEqual([]);
    expect(result.counts).toEqual({ packetsParked: 3, addressesAsked: 1 });
    expect(questions(fixture)).toEqual([called]);
    expect(fixture.unpark().counts).toEqual({});
    await learn(fixture);
    const out = fixture.unpark();
    expect(sourcePorts(out)).toEqual([1, 2, 3]);
    expect(out.counts).toMatchObject({ flowsOpened: 3, egressPackets: 3 });
  },
);

test("everything else goes on meanwhile [defect 5, remedy 3]", async () => {
  const fixture = await parking();
  const result = fixture.egress(call(UNKNOWN.v4, 1), call(ROUND_ROBIN.b.v4, 2), call(OTHER_UNKNOWN, 3));
  expect(sourcePorts(result)).toEqual([2]);
  expect(questions(fixture)).toEqual([UNKNOWN.v4, OTHER_UNKNOWN]);
});

test("a packet that comes when the address is known waits behind those that wait", async () => {
  const fixture = await parking();
  fixture.egress(call(UNKNOWN.v4, 1));
  await learn(fixture);
  expect(fixture.egress(call(UNKNOWN.v4, 2)).datagrams).toEqual([]);
  expect(sourcePorts(fixture.unpark())).toEqual([1, 2]);
  expect(sourcePorts(fixture.egress(call(UNKNOWN.v4, 3)))).toEqual([3]);
});

test("a super-packet waits whole and is cut when it goes", async () => {
  const fixture = await parking();
  const tcp = packet().ip(A1.v4, UNKNOWN.v4).tcp({ sport: 1, dport: 80 }).payload(5000);
  fixture.egress(tcp.offloadFrame({ gsoType: Virtio.GSO_TCPV4, gsoSize: 1000 }));
  await learn(fixture);
  expect(fixture.unpark().datagrams).toHaveLength(5);
});

test("fragments find their way behind a first one that waited", async () => {
  const fixture = await parking();
  const whole = packet().ip(A1.v4, UNKNOWN.v4).udp({ sport: 1, dport: 53 }).payload(3000).bytes();
  fixture.egress(...fragmentsOf(whole, 1000, 7).map((bytes) => virtioFrame(bytes, {})));
  await learn(fixture);
  expect(fixture.unpark().datagrams).toHaveLength(4);
});

describe("bounds", () => {
  test("so many packets wait for one address, and others for another", async () => {
    const fixture = await parking();
    const result = fixture.egress(
      ...[1, 2, 3, 4, 5, 6].map((sport) => call(UNKNOWN.v4, sport)),
      call(OTHER_UNKNOWN, 1),
    );
    expect(result.counts).toEqual({ packetsParked: 5, addressesAsked: 2, "egressDrop.holdFull": 2 });
  });

  test("so many bytes wait in all", async () => {
    const fixture = await parking();
    const large = (host: number): Uint8Array =>
      packet().ip(A1.v4, `10.30.99.${host}`).udp({ sport: 1, dport: 2 }).payload(40_000).frame();
    const result = fixture.egress(large(1), large(2), large(3));
    expect(result.counts).toEqual({ packetsParked: 2, addressesAsked: 2, "egressDrop.holdFull": 1 });
  });

  test("what went out leaves its place to others", async () => {
    const fixture = await parking();
    for (let round = 0; round < 300; round++) {
      const host = `10.30.${100 + (round % 100)}.${round % 200}`;
      const result = fixture.egress(...[1, 2, 3, 4].map((sport) => call(host, sport)));
      expect(result.counts).toMatchObject({ packetsParked: 4 });
      fixture.advance(PARK.timeoutMs);
      expect(fixture.unpark().counts).toEqual({ "egressDrop.unknownAddress": 4 });
    }
  });
});

describe("beside a flood of the same workload", () => {
  const ROOM = 768;
  const answers = HeaderLayout.ACCEPT_STRANGERS;
  const flood = (start: number): Uint8Array[] =>
    Array.from({ length: ROOM }, (_, i) => call(`10.30.${100 + start + (i >> 8)}.${i & 255}`, 1));
  const urgent = (fixture: EngineFixture): string[] =>
    readQuestions(fixture.shared, fixture.nowMs, PARK.timeoutMs).flatMap((one) => (one.isUrgent ? one.address : []));

  function crowded(): Promise<EngineFixture> {
    return onNodeA({ memory: { park: { ...PARK, bytes: 10_000_000 }, answers } });
  }

  test.each([UNKNOWN.v4, UNKNOWN.v6])(
    "an answer to a caller at %s is urgent and keeps its place [measured 9]",
    async (caller) => {
      const fixture = await crowded();
      const workload = caller.includes(":") ? A1.v6 : A1.v4;
      const bytes = packet().ip(caller, workload).udp({ sport: 53, dport: 7 }).payload(20).bytes();
      expect(fixture.ingress({ ...FROM.stranger, bytes }).tunWrites).toHaveLength(1);
      fixture.egress(...flood(0), call(caller, 7), ...flood(10));
      expect(urgent(fixture)).toEqual([caller]);
      await learn(fixture);
      expect(sourcePorts(fixture.unpark())).toEqual([7]);
    },
  );

  test("a packet of a connection whose service is unknown now is urgent and keeps its place [measured 6, measured 9]", async () => {
    const fixture = await crowded();
    fixture.egress(call(ROUND_ROBIN.b.v4, 7));
    await fixture.apply({ ...world(), services: world().services.filter(({ name }) => name !== "b") });
    fixture.egress(...flood(0), call(ROUND_ROBIN.b.v4, 7), call(ROUND_ROBIN.b.v4, 8), ...flood(10));
    expect(urgent(fixture)).toEqual([ROUND_ROBIN.b.v4]);
    await fixture.apply(world());
    expect(sourcePorts(fixture.unpark())).toEqual([7]);
  });

  test.each([
    ["another workload", C1, 0],
    ["the same one, long after", A1, 60_000],
  ])("who was called is urgent for nobody else: %s", async (_who, client, laterMs) => {
    const fixture = await crowded();
    const bytes = packet().ip(UNKNOWN.v4, A1.v4).udp({ sport: 53, dport: 7 }).payload(20).bytes();
    fixture.ingress({ ...FROM.stranger, bytes });
    fixture.advance(laterMs);
    fixture.egress(call(UNKNOWN.v4, 7, client));
    expect([questions(fixture), urgent(fixture)]).toEqual([[UNKNOWN.v4], []]);
  });

  test("all who wait for an address ask for it", async () => {
    const fixture = await parking();
    fixture.egress(call(UNKNOWN.v4, 1), call(UNKNOWN.v4, 2), call(UNKNOWN.v4, 3, C1), call(OTHER_UNKNOWN, 4, C1));
    const [both, one] = readQuestions(fixture.shared, fixture.nowMs, PARK.timeoutMs).map(({ askers }) => askers);
    expect([both?.length, one?.length]).toEqual([2, 1]);
    expect(both).toContain(one?.[0]);
  });
});

describe("no answer", () => {
  test("after its time a packet is refused, and the address for a second more [defect 5, remedy 2]", async () => {
    const fixture = await parking();
    fixture.egress(call(UNKNOWN.v4, 1));
    fixture.advance(PARK.timeoutMs - 1);
    expect(fixture.unpark().counts).toEqual({});
    fixture.advance(1);
    expect(fixture.unpark().counts).toEqual({ "egressDrop.unknownAddress": 1 });
    fixture.advance(999);
    expect(fixture.egress(call(UNKNOWN.v4, 2)).counts).toEqual({ "egressDrop.unknownAddress": 1 });
    fixture.advance(1);
    expect(fixture.egress(call(UNKNOWN.v4, 3)).counts).toEqual({ packetsParked: 1, addressesAsked: 1 });
  });

  test("a refusal drops the packets that wait at once, and only those to its address", async () => {
    const fixture = await parking();
    fixture.egress(call(UNKNOWN.v4, 1), call(OTHER_UNKNOWN, 2), call(UNKNOWN.v4, 3));
    fixture.refuse(UNKNOWN.v4);
    expect(fixture.unpark().counts).toEqual({ "egressDrop.unknownAddress": 2 });
    expect(fixture.egress(call(UNKNOWN.v4, 4)).counts).toEqual({ "egressDrop.unknownAddress": 1 });
    expect(fixture.egress(call(OTHER_UNKNOWN, 5)).counts).toEqual({ packetsParked: 1 });
  });

  test("an address that becomes known is known at once, refused or not", async () => {
    const fixture = await parking();
    fixture.refuse(UNKNOWN.v4);
    expect(fixture.egress(call(UNKNOWN.v4, 1)).counts).toEqual({ "egressDrop.unknownAddress": 1 });
    await learn(fixture);
    expect(sourcePorts(fixture.egress(call(UNKNOWN.v4, 2)))).toEqual([2]);
  });

  test("hundreds of refusals in one request end all that wait for them", async () => {
    const fixture = await parking();
    const called = Array.from({ length: 500 }, (_, i) => `10.30.${200 + (i >> 8)}.${i & 255}`);
    for (const address of called) fixture.egress(call(address, 1));
    fixture.egress(call(UNKNOWN.v4, 1));
    const asked = new Questions({
      shared: fixture.shared,
      timeoutMs: PARK.timeoutMs,
      nowMs: () => fixture.nowMs,
      isKnown: () => false,
    });
    asked.refuse(called);
    expect(asked.open().map(({ address }) => address)).toEqual([UNKNOWN.v4]);
    await expect
      .poll(() => {
        fixture.unpark();
        return fixture.countsSinceStart()["egressDrop.unknownAddress"];
      }, PATIENCE)
      .toBe(called.length);
    expect(questions(fixture)).toEqual([UNKNOWN.v4]);
    expect(() => asked.refuse(["10.30.0.1", "x"])).toThrow('expected to be refused; found "x"');
  });

  test("more refusals than the ring holds do no harm", async () => {
    const fixture = await parking();
    for (let i = 0; i < 100; i++) fixture.refuse(`10.30.50.${i}`);
    expect(fixture.egress(call("10.30.50.99", 1)).counts).toEqual({ "egressDrop.unknownAddress": 1 });
    expect(fixture.egress(call(UNKNOWN.v4, 1)).counts).toEqual({ packetsParked: 1, addressesAsked: 1 });
  });
});

describe("a connection whose service the tables lack at the moment", () => {
  const CONNECTION = packet().ip(A1.v4, ROUND_ROBIN.b.v4);
  const syn = CONNECTION.tcp({ sport: 4000, dport: 80, flags: FLAG.SYN }).frame();
  const data = CONNECTION.tcp({ sport: 4000, dport: 80, flags: FLAG.ACK, seq: 5, ack: 777 }).payload("data").frame();
  const WITHOUT_B = { ...world(), services: world().services.filter(({ name }) => name !== "b") };
  const answers = HeaderLayout.ANSWER_WITH_ICMP | HeaderLayout.ANSWER_WITH_RESET | HeaderLayout.ACCEPT_STRANGERS;

  async function dropped(): Promise<EngineFixture> {
    const fixture = await onNodeA({ memory: { park: PARK, answers } });
    fixture.egress(syn);
    await fixture.apply(WITHOUT_B);
    return fixture;
  }

  test("asks for it, and goes on to its instance when that is back, whatever a policy would choose then [measured 6]", async () => {
    const fixture = await dropped();
    const asking = fixture.egress(data);
    expect([asking.datagrams, asking.tunWrites]).toEqual([[], []]);
    expect(asking.counts).toEqual({ packetsParked: 1, addressesAsked: 1 });
    expect(questions(fixture)).toEqual([ROUND_ROBIN.b.v4]);
    await fixture.apply(world(serviceB([instance(2, "node-c", B2), instance(1, "node-b", B1)])));
    const behind = fixture.egress(data);
    expect(behind.counts).toEqual({ packetsParked: 1 });
    const { datagrams, counts } = fixture.unpark();
    expect(datagrams.map(({ endpoint }) => endpoint)).toEqual([TO.b, TO.b]);
    expect(counts).toMatchObject({ egressPackets: 2 });
    expect(counts.flowsOpened).toBeUndefined();
    expect(inspectFlowTable(fixture.shared)).toEqual({ live: 1, broken: [] });
  });

  test("hears its instance meanwhile, as far as unknown instances may speak", async () => {
    const fixture = await dropped();
    const bytes = tcpPacket(B1.instanceV4, A1.v4, { sport: 80, dport: 4000, flags: FLAG.ACK }, "x").bytes();
    const { tunWrites } = fixture.ingress({ ...FROM.stranger, bytes });
    expectPacket(writtenPacket({ tunWrites }), from(ROUND_ROBIN.b.v4, 80), to(A1.v4, 4000), validChecksums());
  });

  test("is reset when the control plane says that there is no such service", async () => {
    const fixture = await dropped();
    fixture.egress(data);
    fixture.refuse(ROUND_ROBIN.b.v4);
    const { tunWrites, counts } = fixture.unpark();
    expectPacket(writtenPacket({ tunWrites }), from(ROUND_ROBIN.b.v4, 80), to(A1.v4, 4000), flagsAre(FLAG.RST));
    expect(counts).toEqual({ "egressDrop.instanceGone": 1, resetsSent: 1 });
    expect(inspectFlowTable(fixture.shared).live).toBe(0);
  });

  test("is told and lives on when nobody answers", async () => {
    const fixture = await dropped();
    fixture.egress(data);
    fixture.advance(PARK.timeoutMs);
    expect(fixture.unpark().counts).toEqual({ "egressDrop.unknownAddress": 1, icmpErrorsSent: 1 });
    expect(fixture.egress(data).counts).toEqual({ "egressDrop.unknownAddress": 1, icmpErrorsSent: 1 });
    await fixture.apply(world());
    expect(fixture.egress(data).datagrams[0]?.endpoint).toBe(TO.b);
    expect(inspectFlowTable(fixture.shared)).toEqual({ live: 1, broken: [] });
  });

  test("is reset when the service is back without its instance", async () => {
    const fixture = await dropped();
    fixture.egress(data);
    await fixture.apply(world(serviceB([instance(2, "node-c", B2)])));
    expect(fixture.unpark().counts).toEqual({ "egressDrop.instanceGone": 1, resetsSent: 1 });
  });
});
