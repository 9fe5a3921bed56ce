// Packets to addresses that nobody knows yet wait while the control plane is asked; everything else goes on.
import { describe, expect, test } from "vitest";
import { VIRTIO_GSO_TCPV4 } from "../../assembly/shared/protocols.ts";
import { readQuestions } from "../../src/memory/questions.ts";
import type { Service } from "../../src/model/tables.ts";
import type { EngineFixture, Result } from "../support/engine-fixture.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { packet, virtioFrame } from "../support/packet-builder.ts";
import { viewPacket } from "../support/packet-checks.ts";
import { A1, B_ROUND_ROBIN, B1, C1, instance, onNodeA, serviceB, UNKNOWN, world } from "../support/world.ts";

const PARK = { timeoutMs: 3000, packets: 4, bytes: 100_000 };
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
  return packet()
    .ip(isV6 ? client.v6 : client.v4, called)
    .udp({ sport, dport: 53 })
    .payload(20)
    .frame();
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

test("everything else goes on meanwhile", async () => {
  const fixture = await parking();
  const result = fixture.egress(call(UNKNOWN.v4, 1), call(B_ROUND_ROBIN.v4, 2), call(OTHER_UNKNOWN, 3));
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
  fixture.egress(tcp.offloadFrame({ gsoType: VIRTIO_GSO_TCPV4, gsoSize: 1000 }));
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

describe("no answer", () => {
  test("after its time a packet is refused, and the address for a second more", async () => {
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

  test("more refusals than the ring holds do no harm", async () => {
    const fixture = await parking();
    for (let i = 0; i < 100; i++) fixture.refuse(`10.30.50.${i}`);
    expect(fixture.egress(call("10.30.50.99", 1)).counts).toEqual({ "egressDrop.unknownAddress": 1 });
    expect(fixture.egress(call(UNKNOWN.v4, 1)).counts).toEqual({ packetsParked: 1, addressesAsked: 1 });
  });
});
