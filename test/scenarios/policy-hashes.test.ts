// What a policy is told of a flow is the same on every node and after every restart: a consistent hash depends on it.
import { expect, test } from "vitest";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { FLAG, type PacketBuilder, packet } from "../support/packet-builder.ts";
import { A1, C1, CLOSEST, instance, onNodeA, ROUND_ROBIN, service, THIS_NODE, world } from "../support/world.ts";

interface Hashes {
  readonly flowHash: number;
  readonly clientHash: number;
}

/** What the policy is asked when the packet opens a flow. */
function hashesOf(fixture: EngineFixture, opening: PacketBuilder): Hashes {
  const [choice] = fixture.egress(opening.frame()).choices;
  if (choice === undefined) throw new Error("the policy was not asked");
  return { flowHash: choice.flowHash, clientHash: choice.clientHash };
}

function call(client = A1.v4, called = ROUND_ROBIN.b.v4, sport = 40000, dport = 80): PacketBuilder {
  return packet().ip(client, called).tcp({ sport, dport, flags: FLAG.SYN });
}

test("another process with another seed gets the same hashes", async () => {
  const fixtures = await Promise.all([1, 0xffff_ffff].map((hashSeed) => onNodeA({ memory: { hashSeed } })));
  const [first, second] = fixtures.map((fixture) => [
    hashesOf(fixture, call()),
    hashesOf(fixture, call(A1.v6, ROUND_ROBIN.b.v6)),
    hashesOf(fixture, packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 40000, dport: 53 })),
  ]);
  expect(second).toEqual(first);
  // Written down, because a proxy of another version must agree as well.
  expect(first?.map(({ flowHash, clientHash }) => [flowHash, clientHash])).toEqual([
    [2963834979, 1930946001],
    [20251736, 3280790365],
    [807646117, 1930946001],
  ]);
});

test("a packet in the midst of a connection, as after a restart, is told by the same hashes as its first one", async () => {
  const middle = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80, flags: FLAG.ACK }).payload("data");
  expect(hashesOf(await onNodeA(), middle)).toEqual(hashesOf(await onNodeA(), call()));
});

test("a client that moved, and has another namespace address, is the same client", async () => {
  const moved = { ...A1, v4: "10.101.9.99", v6: "fc00::101:9:99" };
  const tables = world();
  const services = tables.services.map((one) =>
    one.name === "a"
      ? service("a", [instance(1, THIS_NODE, moved)], ...one.addresses.map(({ address }) => address))
      : one,
  );
  const fixture = await onNodeA({ tables: { ...tables, services } });
  expect(hashesOf(fixture, call(moved.v4))).toEqual(hashesOf(await onNodeA(), call()));
});

test("each part of the key changes the flow's hash, the client alone the client's", async () => {
  const fixture = await onNodeA();
  const base = hashesOf(fixture, call());
  const ofSameClient = [
    call(A1.v4, CLOSEST.b.v4),
    call(A1.v4, ROUND_ROBIN.b.v4, 40001),
    call(A1.v4, ROUND_ROBIN.b.v4, 40000, 81),
    packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 40000, dport: 80 }),
  ].map((opening) => hashesOf(fixture, opening));
  const ofOther = hashesOf(fixture, call(C1.v4));
  expect(ofSameClient.map(({ clientHash }) => clientHash)).toEqual(Array(4).fill(base.clientHash));
  expect(ofOther.clientHash).not.toBe(base.clientHash);
  expect(new Set([base, ofOther, ...ofSameClient].map(({ flowHash }) => flowHash)).size).toBe(6);
});
