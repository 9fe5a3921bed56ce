// Packets with known answers, by which an engine is tried on a memory of its own before it gets the real one: what
// leaves through the tunnel and the TUN, byte for byte, and that it goes on with the flows of the engine in force and
// the other way round. The answers were not made by an engine: test/src/dataplane/self-test.test.ts holds them against
// the slow twin.

import {
  AF_INET6,
  IOVEC_SIZE,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_LENGTH,
  MMSGHDR_NAME,
  MMSGHDR_SIZE,
  Region,
  SLOT_HEADROOM,
  SOCKADDR_ADDRESS,
  SOCKADDR_FAMILY,
  SOCKADDR_PORT,
  TUN_TX_IOV,
  TUN_TX_IOV_COUNT,
  TUN_TX_SIZE,
  WORKER_SEQUENCE,
  WORKER_TUN_LENGTHS,
  WORKER_TUN_SLOTS,
  WORKER_TUN_TX,
  WORKER_TUN_TX_COUNT,
  WORKER_UDP_RX,
  WORKER_UDP_TX,
  WORKER_UDP_TX_COUNT,
} from "../../assembly/shared/layout.ts";
import { SapwoodError } from "../errors.ts";
import { readCounters } from "../memory/counters.ts";
import { createSharedMemory, type SharedMemory } from "../memory/shared-memory.ts";
import type { TableChange } from "../memory/table-change.ts";
import { TableWriter } from "../memory/table-writer.ts";
import { parsePrefix } from "../net/address.ts";
import type { EngineExports } from "./engine-contract.ts";
import { instantiateEngine } from "./wasm.ts";

/** One packet and what becomes of it; bytes are hexadecimal. */
export interface SelfTestStep {
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
/** SELF_TEST_PEER as it stands in a sockaddr_in6. */
const PEER_ENDPOINT = { address: "00000000000000000000ffffc0000202", port: "c3b7" };
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

/** Throws module-refused with the first packet that an engine handles in another way than it should. */
export async function selfTest(candidate: WebAssembly.Module, inForce: WebAssembly.Module): Promise<void> {
  const alone = await TestNode.create();
  const engine = alone.attach(candidate);
  for (const step of SELF_TEST_STEPS) alone.run(step, engine, "");

  const shared = await TestNode.create();
  const engines = { "in force": shared.attach(inForce), "new": shared.attach(candidate) };
  for (const step of SELF_TEST_STEPS) shared.run(step, engines[step.turn], " on the flows of the engine in force");
}

/** A node without devices: plays the kernel for engines in one worker area. */
class TestNode {
  readonly #shared: SharedMemory;
  readonly #view: DataView;
  readonly #workerAt: number;

  private constructor(shared: SharedMemory) {
    this.#shared = shared;
    this.#view = new DataView(shared.memory.buffer);
    this.#workerAt = shared.at(Region.workers);
  }

  static async create(): Promise<TestNode> {
    const shared = createSharedMemory({
      capacities: { flows: 64, addresses: 16, instances: 16, workloads: 16, nodes: 4, workers: 1 },
      ranges: SELF_TEST_RANGES.map(parsePrefix),
    });
    const tables = new TableWriter(shared, { nodeId: SELF_TEST_NODE, policySlot: () => 0 });
    await tables.apply({
      setNodes: [{ id: SELF_TEST_PEER.id, underlay: SELF_TEST_PEER, distanceKm: Number.NaN }],
      setServices: SELF_TEST_SERVICES,
    });
    return new TestNode(shared);
  }

  /** Native addresses are offsets here. */
  attach(module: WebAssembly.Module): EngineExports {
    const engine = instantiateEngine(module, this.#shared.memory, () => 0);
    engine.attach(0, 0n);
    return engine;
  }

  run(step: SelfTestStep, engine: EngineExports, where: string): void {
    const { what, from, toTunnel = "", toTun = "", drops = 0 } = step;
    const refuse = (expected: string, found: string): never => {
      const sentence = `The engine module failed its self-test${where}, at ${what}: expected ${expected}, found ${found}.`;
      throw new SapwoodError("module-refused", sentence);
    };
    const dropsBefore = dropCount(this.#shared);
    const bytes = Buffer.from(step.bytes, "hex");
    if (from === "tun") this.#putFrame(bytes);
    else this.#putMessage(bytes);
    let handled: number;
    try {
      handled = from === "tun" ? engine.egress(0, 1, NOW_US) : engine.ingress(0, 1, NOW_US);
    } catch (cause) {
      return refuse("an answer", `that it failed: ${String(cause)}`);
    }
    if (handled !== 1) refuse("1 packet handled", `${handled}`);
    if ((this.#u32(WORKER_SEQUENCE) & 1) !== 0) refuse("that it leaves its generation", "that it stays in it");
    const sent = this.#sent(refuse);
    if (sent !== toTunnel) refuse(`${toTunnel || "nothing"} for the tunnel`, sent || "nothing");
    const written = this.#written();
    if (written !== toTun) refuse(`${toTun || "nothing"} for the TUN`, written || "nothing");
    const dropped = dropCount(this.#shared) - dropsBefore;
    if (dropped !== drops) refuse(`${drops} packets dropped`, `${dropped}`);
  }

  #putFrame(bytes: Uint8Array): void {
    this.#shared.bytes.set(bytes, this.#workerAt + WORKER_TUN_SLOTS + SLOT_HEADROOM);
    this.#setU32(WORKER_TUN_LENGTHS, bytes.length);
  }

  /** Into the structures that attach() prepared, from the peer. */
  #putMessage(bytes: Uint8Array): void {
    const iovecAt = this.#pointer(this.#workerAt + WORKER_UDP_RX + MMSGHDR_IOV);
    this.#shared.bytes.set(bytes, this.#pointer(iovecAt));
    this.#setU32(WORKER_UDP_RX + MMSGHDR_LENGTH, bytes.length);
    this.#view.setBigUint64(this.#workerAt + WORKER_UDP_RX + MMSGHDR_CONTROL_LENGTH, 0n, true); // one datagram
    const nameAt = this.#pointer(this.#workerAt + WORKER_UDP_RX + MMSGHDR_NAME);
    this.#view.setUint16(nameAt + SOCKADDR_FAMILY, AF_INET6, true);
    this.#shared.bytes.set(Buffer.from(PEER_ENDPOINT.port, "hex"), nameAt + SOCKADDR_PORT);
    this.#shared.bytes.set(Buffer.from(PEER_ENDPOINT.address, "hex"), nameAt + SOCKADDR_ADDRESS);
  }

  #sent(refuse: (expected: string, found: string) => never): string {
    let content = "";
    for (let i = 0; i < this.#u32(WORKER_UDP_TX_COUNT); i++) {
      const at = this.#workerAt + WORKER_UDP_TX + i * MMSGHDR_SIZE;
      const nameAt = this.#pointer(at + MMSGHDR_NAME);
      const endpoint = this.#hex(nameAt + SOCKADDR_ADDRESS, 16) + this.#hex(nameAt + SOCKADDR_PORT, 2);
      const expected = PEER_ENDPOINT.address + PEER_ENDPOINT.port;
      if (endpoint !== expected) refuse(`${expected} as its destination`, endpoint);
      content += this.#gather(this.#pointer(at + MMSGHDR_IOV), this.#pointer(at + MMSGHDR_IOV_COUNT));
    }
    return content;
  }

  #written(): string {
    let content = "";
    for (let i = 0; i < this.#u32(WORKER_TUN_TX_COUNT); i++) {
      const at = this.#workerAt + WORKER_TUN_TX + i * TUN_TX_SIZE;
      content += this.#gather(this.#pointer(at + TUN_TX_IOV), this.#view.getUint32(at + TUN_TX_IOV_COUNT, true));
    }
    return content;
  }

  #gather(iovecAt: number, count: number): string {
    let content = "";
    for (let i = 0; i < count; i++) {
      const at = iovecAt + i * IOVEC_SIZE;
      content += this.#hex(this.#pointer(at), this.#pointer(at + 8));
    }
    return content;
  }

  #hex(at: number, length: number): string {
    return Buffer.from(this.#shared.bytes.subarray(at, at + length)).toString("hex");
  }

  #u32(offset: number): number {
    return this.#view.getUint32(this.#workerAt + offset, true);
  }

  #setU32(offset: number, value: number): void {
    this.#view.setUint32(this.#workerAt + offset, value, true);
  }

  #pointer(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }
}

/** In both directions, for all reasons. */
function dropCount(shared: SharedMemory): number {
  const { egress, ingress } = readCounters(shared).drops;
  return [...Object.values(egress), ...Object.values(ingress)].reduce((sum, drops) => sum + drops, 0);
}

function instance(node: string, namespaceAddresses: readonly string[], instanceAddresses: readonly string[]) {
  return { number: 1, node, namespaceAddresses, instanceAddresses, weight: 1, draining: false };
}
