// Gives one packet to an engine on a copy of a node's memory, and tells what came of it: what was counted, what the
// policy was asked and what it saw, what would be sent and written. Nothing leaves the copy.

import { CounterNote, readCounters } from "../../memory/counters.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import { formatAddress } from "../../net/address.ts";
import type { EngineExports } from "../modules/engine-contract.ts";
import { PlayedNode, type TestPacket } from "../modules/played-node.ts";
import { type AskedChoice, AskedPolicies } from "./asked-policies.ts";
import type { PolicyModule } from "./worker-contract.ts";

interface RehearsedSend {
  readonly address: string;
  readonly port: number;
  readonly packets: string; // hexadecimal; several datagrams one after the other
}

export interface Rehearsal {
  readonly direction: "egress" | "ingress";
  /** By reason, what was dropped. */
  readonly drops: Readonly<Record<string, number>>;
  /** The counters that moved. */
  readonly counts: Readonly<Record<string, number>>;
  readonly choice: AskedChoice | null;
  readonly sent: readonly RehearsedSend[];
  readonly written: readonly string[]; // hexadecimal, with virtio_net_hdr
}

interface StageOptions {
  /** A copy, or a memory that nobody else uses. */
  readonly shared: SharedMemory;
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
  /** Of the policies; monotonic. */
  readonly clockMs?: () => number;
}

const ADDRESS_DIGITS = 32;

export class Stage {
  /** Is given packets by put() alone. */
  readonly engine: EngineExports;
  readonly #node: PlayedNode;
  readonly #shared: SharedMemory;
  readonly #policies: AskedPolicies;
  readonly #counted: CounterNote;

  /** Throws module-refused. */
  constructor({ shared, engine, policies, clockMs }: StageOptions) {
    this.#shared = shared;
    this.#node = new PlayedNode(shared);
    this.#policies = new AskedPolicies(shared.memory, policies, clockMs);
    this.#counted = new CounterNote(shared);
    this.engine = this.#node.attach(engine, (serviceAt, flowHash, clientHash) =>
      this.#policies.choose(serviceAt, flowHash, clientHash),
    );
  }

  /** `nowUs` is of the workers' clock. */
  play(packet: TestPacket, nowUs: number): Rehearsal {
    this.put(packet);
    this.engine[packet.direction](0, 1, nowUs);
    return this.told(packet.direction);
  }

  /** The packet that the engine's next call is to be about. */
  put(packet: TestPacket): void {
    this.#counted.take();
    this.#policies.forget();
    this.#node.put(packet);
  }

  /** What came of the packet that was put last, as long as the engine was not called again. */
  told(direction: TestPacket["direction"]): Rehearsal {
    const before = this.#counted.snapshot();
    const after = readCounters(this.#shared);
    return {
      direction,
      drops: moved(before.drops[direction], after.drops[direction]),
      counts: moved(before.counters, after.counters),
      choice: this.#policies.asked(),
      sent: this.#node.sent().map(({ to, content }) => ({ ...endpointOf(to), packets: content })),
      written: this.#node.written(),
    };
  }
}

function moved(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>) {
  const differences = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(differences.filter(([, count]) => count !== 0));
}

/** Address and port as in a sockaddr_in6, hexadecimal. */
function endpointOf(to: string): { address: string; port: number } {
  const bytes = Buffer.from(to, "hex");
  return { address: formatAddress(bytes), port: Number.parseInt(to.slice(ADDRESS_DIGITS), 16) };
}
