// What a rehearsal on a copy of the memory tells of a packet is what then becomes of the packet: for random traffic in
// both directions, under every policy of the package.

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { TestPacket } from "../../src/dataplane/modules/played-node.ts";
import { TestNode, type TestWorld } from "../../src/dataplane/modules/test-node.ts";
import { Dice, type Ends, TrialTraffic } from "../../src/dataplane/modules/trial-traffic.ts";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";
import { Stage } from "../../src/dataplane/worker/rehearsal.ts";
import { copyMemory, refreshCopy } from "../../src/memory/memory-copy.ts";

const PEERS = [
  { id: "near", address: "192.0.2.2", port: 50103 },
  { id: "far", address: "2001:db8::3", port: 50103 },
];
const STRANGER = { address: "198.51.100.7", port: 50103 };
const CALLED: readonly (readonly [string, string])[] = [
  ["10.30.0.1", "fdff::1"],
  ["10.30.0.1", "fdff::1"],
  ["10.30.1.2", "fdff::102"],
  ["10.30.1.4", "fdff::104"],
  ["10.30.0.9", "fdff::9"], // a service whose only instance drains
  ["10.30.0.10", "fdff::10"], // a service with an instance of IPv4 alone
  ["10.30.99.9", "fdff::9999"], // in no table
  ["203.0.113.1", "2001:db8:9::1"], // in no service range
];
const CLIENTS: readonly (readonly [string, string])[] = [
  ["10.18.0.2", "fc00::12:2"],
  ["10.18.0.2", "fc00::12:2"],
  ["10.18.0.3", "fc00::12:3"],
  ["10.18.0.77", "fc00::12:77"], // no workload of this node
];
const REMOTE: readonly (readonly [string, string])[] = [
  ["10.30.1.2", "fdff::102"],
  ["10.30.1.3", "fdff::103"],
  ["10.30.0.1", "fdff::1"], // a service address, for which nobody speaks
  ["10.30.77.7", "fdff::7777"], // an unknown one
  ["203.0.113.1", "2001:db8:9::1"],
];
const WORLD: TestWorld = {
  nodeId: "self",
  nodes: PEERS,
  ranges: ["10.30.0.0/16", "fdff::/16"],
  services: [
    { name: "client", addresses: [], instances: [instance(1, "self", 2, 101)] },
    {
      name: "server",
      addresses: ["10.30.0.1", "fdff::1"].map((address) => ({ address, policy: "any" })),
      instances: [
        instance(1, "near", 2, 102, "10.19.0.2", "fc00::13:2"),
        instance(2, "far", 2, 103, "10.20.0.2", "fc00::14:2"),
        instance(3, "self", 3, 104),
      ],
    },
    {
      name: "draining",
      addresses: ["10.30.0.9", "fdff::9"].map((address) => ({ address, policy: "any" })),
      instances: [{ ...instance(1, "near", 4, 105, "10.19.0.4", "fc00::13:4"), draining: true }],
    },
    {
      name: "ipv4",
      addresses: ["10.30.0.10", "fdff::10"].map((address) => ({ address, policy: "any" })),
      instances: [
        {
          ...{ number: 1, node: "near", weight: 1, draining: false },
          ...{ namespaceAddresses: ["10.19.0.5"], instanceAddresses: ["10.30.1.6"] },
        },
      ],
    },
  ],
  memory: {
    capacities: { flows: 64, addresses: 32, instances: 16, workloads: 16, nodes: 8, workers: 1 },
    answers: 7,
    tunMtu: 1450,
    hashSeed: 1,
    park: { timeoutMs: 100, packets: 4, bytes: 65_536 },
  },
};
const PACKETS = 1600; // of each policy
const STEP_US = 3000;
/** Header and tables. */
const OBSERVED = 65_536;

const engine = compiled("engine");
const POLICIES = readdirSync(new URL(".", `file://${builtModulePath("policies/any")}`))
  .filter((file) => file.endsWith(".wasm"))
  .map((file) => file.slice(0, -".wasm".length));
const reached = new Set<string>();

test.each(POLICIES)("under the policy %s", async (policy) => {
  const node = await TestNode.create(WORLD);
  const policies = [{ slot: 0, name: policy, module: compiled(`policies/${policy}`) }];
  const real = new Stage({ shared: node.shared, engine, policies });
  const copy = copyMemory(node.shared).shared;
  const rehearsed = new Stage({ shared: copy, engine, policies });
  const dice = new Dice(7);
  const traffic = new TrialTraffic(dice);
  let nowUs = 1_000_000;
  for (let i = 0; i < PACKETS; i++) {
    const packet = packetOf(dice, traffic);
    nowUs += dice.below(STEP_US);
    const before = Buffer.from(node.shared.bytes.subarray(0, OBSERVED));
    expect(refreshCopy(node.shared, copy).hasWaiting).toBe(true);
    const told = rehearsed.play(packet, nowUs);
    expect(before.equals(node.shared.bytes.subarray(0, OBSERVED))).toBe(true); // nothing in force changed
    const came = real.play(packet, nowUs);
    expect(told, `packet ${i}`).toEqual(came);
    for (const reason of Object.keys(came.drops)) reached.add(`${came.direction} ${reason}`);
    for (const counter of Object.keys(came.counts)) reached.add(counter);
  }
});

test("the traffic met drops of all kinds, new flows and known ones", () => {
  expect(POLICIES.length).toBeGreaterThan(6);
  const drops = [...reached].filter((name) => name.includes(" "));
  expect(drops.length).toBeGreaterThan(15);
  for (const counter of ["flowsOpened", "policyChoices", "egressPackets", "ingressPackets", "localPackets"]) {
    expect(reached).toContain(counter);
  }
});

function packetOf(dice: Dice, traffic: TrialTraffic): TestPacket {
  const family = dice.below(2);
  const pick = (list: readonly (readonly [string, string])[]): string => dice.pick(list)[family] as string;
  if (dice.chance(0.65)) {
    const ends: Ends = { source: pick(CLIENTS), destination: pick(CALLED) };
    return { direction: "egress", frame: traffic.frame(ends) };
  }
  const ends: Ends = { source: pick(REMOTE), destination: pick(CLIENTS) };
  const bytes = dice.chance(0.03) ? dice.bytes(dice.below(30)) : traffic.packet(ends);
  const from = dice.chance(0.05) ? STRANGER : (dice.pick(PEERS) as (typeof PEERS)[number]);
  return { direction: "ingress", message: { bytes, from, trafficClass: 0 } };
}

function compiled(name: string): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(builtModulePath(name)));
}

function instance(
  number: number,
  node: string,
  host: number,
  id: number,
  v4 = `10.18.0.${host}`,
  v6 = `fc00::12:${host}`,
) {
  const instanceAddresses = [`10.30.1.${id - 100}`, `fdff::${id}`];
  return { number, node, namespaceAddresses: [v4, v6], instanceAddresses, weight: 1, draining: false };
}
