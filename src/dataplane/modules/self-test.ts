// Packets with known answers, by which an engine is tried on a memory of its own before it gets the real one: what
// leaves through the tunnel and the TUN, byte for byte, and that it goes on with the flows of the engine in force and
// the other way round. The answers were not made by an engine: test/src/dataplane/modules/self-test.test.ts holds them
// against the slow twin.

import { SapwoodError } from "../../base/errors.ts";
import { readCounters } from "../../memory/counters.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { TableChange } from "../../memory/table-change.ts";
import { compareEngines } from "./engine-comparison.ts";
import type { EngineExports } from "./engine-contract.ts";
import { TestNode, type TestWorld } from "./test-node.ts";

/** One packet and what is sent for it; bytes are hexadecimal. */
interface SelfTestStep {
  readonly what: string;
  readonly from: "tun" | "tunnel";
  readonly bytes: string;
  /** Everything that leaves, joined. */
  readonly toTunnel?: string;
  readonly toTun?: string;
  /** Packets that are dropped and counted. */
  readonly drops?: number;
  /** Who handles it when two engines take turns: each continues flows of the other. */
  readonly turn: "in force" | "new";
}

export const SELF_TEST_PEER = { id: "peer", address: "192.0.2.2", port: 50103 };
/** Address and port of SELF_TEST_PEER as they are in a sockaddr_in6. */
const PEER_ENDPOINT = "00000000000000000000ffffc0000202c3b7";
const NOW_US = 1_000_000_000;
export const SELF_TEST_NODE = "self";
export const SELF_TEST_RANGES = ["10.30.0.0/16", "fdff::/16"];
export const SELF_TEST_SERVICES: NonNullable<TableChange["setServices"]> = [
  {
    name: "client",
    addresses: [],
    instances: [instance(SELF_TEST_NODE, ["10.18.0.2", "fc00::2"], ["10.30.1.1", "fdff::101"])],
  },
  {
    name: "server",
    addresses: [
      { address: "10.30.0.1", policy: "any" },
      { address: "fdff::1", policy: "any" },
    ],
    instances: [instance(SELF_TEST_PEER.id, ["10.19.0.2", "fc00::3"], ["10.30.1.2", "fdff::102"])],
  },
];

const NO_VIRTIO = "00000000000000000000";
const ASK = `${NO_VIRTIO}4500001f12344000401114680a1200020a1e00019c400035000b82bc61736b`;
const ASKED = "4500001f12344000401113670a1e01010a1300029c400035000b81bb61736b";

export const SELF_TEST_STEPS: readonly SelfTestStep[] = [
  { what: "a UDP packet that begins a flow", from: "tun", bytes: ASK, toTunnel: ASKED, turn: "in force" },
  { what: "a UDP packet of a known flow", from: "tun", bytes: ASK, toTunnel: ASKED, turn: "new" },
  {
    what: "a UDP answer",
    from: "tunnel",
    bytes: "4500002212344000401113640a1e01020a12000200359c40000e13d1616e73776572",
    toTun: `${NO_VIRTIO}4500002212344000401114650a1e00010a12000200359c40000e14d2616e73776572`,
    turn: "new",
  },
  {
    what: "a TCP segment whose checksum is to be finished",
    from: "tun",
    bytes:
      "010000000000280010006000000000140640fc000000000000000000000000000002fdff0000000000000000000000000001" +
      "9c41005000000001000000005002faf0fa1d0000",
    toTunnel:
      "6000000000140640fdff0000000000000000000000000101fc000000000000000000000000000003" +
      "9c41005000000001000000005002faf01d5b0000",
    turn: "new",
  },
  {
    what: "a TCP answer",
    from: "tunnel",
    bytes:
      "6000000000140640fdff0000000000000000000000000102fc000000000000000000000000000002" +
      "00509c4100000009000000025012faf01d410000",
    toTun:
      `${NO_VIRTIO}6000000000140640fdff0000000000000000000000000001fc000000000000000000000000000002` +
      "00509c4100000009000000025012faf01e420000",
    turn: "in force",
  },
  {
    what: "a TCP super-packet of two segments",
    from: "tun",
    bytes:
      "01043c0004002800100060000000001c0640fc000000000000000000000000000002fdff0000000000000000000000000001" +
      "9c410050000000020000000a5018faf0fa250000474554202f6f6e65",
    toTunnel:
      "6000000000180640fdff0000000000000000000000000101fc000000000000000000000000000003" +
      "9c410050000000020000000a5010faf081d8000047455420" +
      "6000000000180640fdff0000000000000000000000000101fc000000000000000000000000000003" +
      "9c410050000000060000000a5018faf07f5d00002f6f6e65",
    turn: "new",
  },
  {
    what: "a packet that is shorter than it says",
    from: "tun",
    bytes: `${NO_VIRTIO}4500001f12344000401114680a1200020a1e00019c400035`,
    drops: 1,
    turn: "new",
  },
];

/**
 * Throws module-refused with the first packet that an engine handles in another way than it should. `isForced`: it may
 * do otherwise than the engine in force, but for the known packets.
 */
export async function selfTest(
  candidate: WebAssembly.Module,
  inForce: WebAssembly.Module,
  isForced: boolean,
): Promise<void> {
  const alone = await TestNode.create(KNOWN_WORLD);
  const engine = alone.attach(candidate);
  for (const step of SELF_TEST_STEPS) runStep(alone, step, engine, "");

  const shared = await TestNode.create(KNOWN_WORLD);
  const engines = { "in force": shared.attach(inForce), "new": shared.attach(candidate) };
  for (const step of SELF_TEST_STEPS) runStep(shared, step, engines[step.turn], " on the flows of the engine in force");

  await compareEngines(candidate, inForce, isForced);
}

const KNOWN_WORLD: TestWorld = {
  nodeId: SELF_TEST_NODE,
  nodes: [SELF_TEST_PEER],
  services: SELF_TEST_SERVICES,
  ranges: SELF_TEST_RANGES,
};

/** Gives one packet to an engine and compares everything that comes of it. */
function runStep(node: TestNode, step: SelfTestStep, engine: EngineExports, where: string): void {
  const { what, from, toTunnel = "", toTun = "", drops = 0 } = step;
  const refuse = (expected: string, found: string): never => {
    const sentence = `The engine module failed its self-test${where}, at ${what}: expected ${expected}, found ${found}.`;
    throw new SapwoodError("module-refused", sentence);
  };
  const dropsBefore = dropCount(node.shared);
  const bytes = Buffer.from(step.bytes, "hex");
  if (from === "tun") node.putFrames([bytes]);
  else node.putMessages([{ bytes, from: SELF_TEST_PEER, trafficClass: 0 }]);
  let handled: number;
  try {
    handled = from === "tun" ? engine.egress(0, 1, NOW_US) : engine.ingress(0, 1, NOW_US);
  } catch (cause) {
    return refuse("an answer", `that it failed: ${String(cause)}`);
  }
  if (handled !== 1) refuse("1 packet handled", `${handled}`);
  if (node.isInCall) refuse("that it leaves its generation", "that it stays in it");
  const sent = node.sent();
  const stray = sent.find(({ to }) => to !== PEER_ENDPOINT);
  if (stray !== undefined) refuse(`${PEER_ENDPOINT} as its destination`, stray.to);
  const compare = (expected: string, found: string, where: string): void => {
    if (found !== expected) refuse(`${expected || "nothing"} for the ${where}`, found || "nothing");
  };
  compare(toTunnel, sent.map(({ content }) => content).join(""), "tunnel");
  compare(toTun, node.written().join(""), "TUN");
  const dropped = dropCount(node.shared) - dropsBefore;
  if (dropped !== drops) refuse(`${drops} packets dropped`, `${dropped}`);
}

/** In both directions, for all reasons. */
function dropCount(shared: SharedMemory): number {
  const { egress, ingress } = readCounters(shared).drops;
  return [...Object.values(egress), ...Object.values(ingress)].reduce((sum, drops) => sum + drops, 0);
}

function instance(node: string, namespaceAddresses: readonly string[], instanceAddresses: readonly string[]) {
  return { number: 1, node, namespaceAddresses, instanceAddresses, weight: 1, draining: false };
}
