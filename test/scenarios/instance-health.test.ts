// New flows and instances that checks call unhealthy: they are passed over as long as a better one is there, whatever
// the policy says, and used when there is none.
import { describe, expect, test } from "vitest";
import { RECORD_FLAGS, RECORD_HEALTHY, RECORD_SIZE } from "../../assembly/shared/policies.ts";
import { CandidateReader } from "../../src/dataplane/modules/candidate-reader.ts";
import type { EngineFixture, FixtureOptions } from "../support/engine-fixture.ts";
import { FLAG, packet, tcpPacket } from "../support/packet-builder.ts";
import { A1, B1, B2, B3, instance, NODE, onNodeA, ROUND_ROBIN, serviceB, TO, world } from "../support/world.ts";

let sport = 1024;
function syn(to = ROUND_ROBIN.b.v4): Uint8Array {
  sport += 1;
  return packet().ip(A1.v4, to).tcp({ sport, dport: 80, flags: FLAG.SYN }).frame();
}

/** Where so many new connections go, and what counted. */
function call(fixture: EngineFixture, times: number) {
  const { datagrams, counts } = fixture.egress(...Array.from({ length: times }, () => syn()));
  return { reached: [...new Set(datagrams.map(({ endpoint }) => endpoint))].sort(), counts };
}

/** What a policy is told of each of three candidates. */
function healthyFlags(fixture: EngineFixture, serviceAt: number): boolean[] {
  const records = new DataView(new ArrayBuffer(3 * RECORD_SIZE));
  new CandidateReader(fixture.shared.memory).copy(serviceAt, records, 0);
  return [0, 1, 2].map((i) => (records.getUint32(i * RECORD_SIZE + RECORD_FLAGS, true) & RECORD_HEALTHY) !== 0);
}

/** Beside the tables, what a policy was told of the candidates at its last choice. */
async function open({ policy, ...options }: Partial<FixtureOptions> = {}) {
  let serviceAt = 0;
  let turn = 0;
  const fixture = await onNodeA({
    policy: (choice, at) => {
      serviceAt = at;
      return policy?.(choice, at) ?? turn++ % choice.candidates.length;
    },
    ...options,
  });
  return { fixture, told: () => healthyFlags(fixture, serviceAt) };
}

describe("a policy that ignores health", () => {
  test("does not get a connection to an unhealthy instance through", async () => {
    const { fixture, told } = await open();
    expect(call(fixture, 30).reached).toEqual([TO.c, TO.b, TO.d].sort());
    fixture.setHealth("b", 2, "unhealthy");
    const { reached, counts } = call(fixture, 30);
    expect(reached).toEqual([TO.b, TO.d].sort());
    expect(counts).toMatchObject({ policyChoices: 20, policyOverruled: 10 });
    expect(told()).toEqual([true, false, true]);
    fixture.setHealth("b", 2, "healthy");
    expect(call(fixture, 30)).toMatchObject({ reached: [TO.b, TO.c, TO.d].sort(), counts: { policyChoices: 30 } });
  });

  test("decides among all when all are unhealthy", async () => {
    const { fixture, told } = await open();
    for (const number of [1, 2, 3]) fixture.setHealth("b", number, "unhealthy");
    const { reached, counts } = call(fixture, 30);
    expect(reached).toEqual([TO.b, TO.c, TO.d].sort());
    expect(counts).toMatchObject({ policyChoices: 30 });
    expect(told()).toEqual([true, true, true]);
    fixture.setHealth("b", 3, "healthy");
    expect(call(fixture, 30).reached).toEqual([TO.d]);
    expect(told()).toEqual([false, false, true]);
  });

  test("that has no answer leaves it to the engine, which takes a healthy one, or any", async () => {
    const { fixture } = await open({ policy: () => -1 });
    for (const number of [1, 3]) fixture.setHealth("b", number, "unhealthy");
    expect(call(fixture, 30)).toMatchObject({ reached: [TO.c], counts: { policyFallbacks: 30 } });
    fixture.setHealth("b", 2, "unhealthy");
    expect(call(fixture, 60).reached).toEqual([TO.b, TO.c, TO.d].sort());
  });
});

test("an instance that drains is no alternative to an unhealthy one", async () => {
  const { fixture } = await open({
    tables: world(
      serviceB([instance(1, "node-b", B1), instance(2, "node-c", B2, true), instance(3, "node-d", B3, true)]),
    ),
  });
  fixture.setHealth("b", 1, "unhealthy");
  expect(call(fixture, 9).reached).toEqual([TO.b]);
});

test("an unhealthy instance that can be reached is better than one whose node is lost", async () => {
  const { fixture, told } = await open({ policy: () => 0 });
  const { AnsweringNodes } = await import("../support/nodes.ts");
  const nodes = new AnsweringNodes(fixture, world().nodes);
  nodes.run(1000);
  nodes.path(NODE.b).rttMs = undefined;
  nodes.run(10_000);
  for (const number of [2, 3]) fixture.setHealth("b", number, "unhealthy");
  const { reached, counts } = call(fixture, 60);
  expect(reached).toEqual([TO.c, TO.d].sort());
  expect(counts).toMatchObject({ policyOverruled: 60 });
  expect(told()).toEqual([false, true, true]);
});

test("established flows stay, and calls to an instance's own address go there", async () => {
  const { fixture } = await open({ policy: () => 0 });
  const ends = packet().ip(A1.v4, ROUND_ROBIN.b.v4);
  fixture.egress(ends.tcp({ sport: 999, dport: 80, flags: FLAG.SYN }).frame());
  const answer = tcpPacket(B1.instanceV4, A1.v4, { sport: 80, dport: 999, flags: FLAG.SYN | FLAG.ACK });
  fixture.ingress({ ...NODE.b.underlay, bytes: answer.bytes() });
  fixture.setHealth("b", 1, "unhealthy");
  const data = ends.tcp({ sport: 999, dport: 80, flags: FLAG.ACK, seq: 1, ack: 1 }).payload("more").frame();
  const later = fixture.egress(data, syn(B1.instanceV4));
  expect(later.datagrams.map(({ endpoint }) => endpoint)).toEqual([TO.b, TO.b]);
  expect(later.choices).toEqual([]);
});

test("an instance that comes with the record of one that was unhealthy is not", async () => {
  const { fixture } = await open({ policy: () => 0 });
  fixture.setHealth("b", 1, "unhealthy");
  expect(call(fixture, 1).reached).not.toEqual([TO.b]);
  for (let i = 0; i < 3; i++) {
    await fixture.apply(world(serviceB([instance(2, "node-c", B2)])));
    await fixture.apply(world());
  }
  expect(call(fixture, 1).reached).toEqual([TO.b]);
});
