// Gives one packet to an engine on a copy of a node's memory, and tells what came of it: what was counted, what the
// policy was asked and what it saw, what would be sent and written. Nothing leaves the copy.

import * as ServiceLayout from "../../../assembly/shared/layout/service.ts";
import { RECORD_SIZE } from "../../../assembly/shared/policies.ts";
import { readCounters } from "../../memory/counters.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import { formatAddress } from "../../net/address.ts";
import { CandidateReader } from "../modules/candidate-reader.ts";
import { type PolicyCandidate, readCandidate } from "../modules/candidate-record.ts";
import type { EngineExports } from "../modules/engine-contract.ts";
import { PlayedNode, type TestPacket } from "../modules/played-node.ts";
import { PolicyHost } from "./policies.ts";
import type { PolicyModule } from "./worker-contract.ts";

/** A policy was asked for an instance. */
interface RehearsedChoice {
  readonly slot: number;
  readonly candidates: readonly PolicyCandidate[];
  readonly choice: number; // index of a candidate; anything else: none
}

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
  readonly choice: RehearsedChoice | null;
  readonly sent: readonly RehearsedSend[];
  readonly written: readonly string[]; // hexadecimal, with virtio_net_hdr
}

interface StageOptions {
  /** A copy, or a memory that nobody else uses. */
  readonly shared: SharedMemory;
  readonly engine: WebAssembly.Module;
  readonly policies: readonly PolicyModule[];
}

const ADDRESS_DIGITS = 32;

export class Stage {
  readonly #node: PlayedNode;
  readonly #shared: SharedMemory;
  readonly #engine: EngineExports;
  readonly #candidates: CandidateReader;
  readonly #host: PolicyHost;
  #choice: RehearsedChoice | null = null;

  constructor({ shared, engine, policies }: StageOptions) {
    this.#shared = shared;
    this.#node = new PlayedNode(shared);
    this.#candidates = new CandidateReader(shared.memory);
    this.#host = new PolicyHost(shared.memory, policies, 0);
    this.#engine = this.#node.attach(engine, (serviceAt, flowHash, clientHash) =>
      this.#choose(serviceAt >>> 0, flowHash, clientHash),
    );
  }

  /** `nowUs` is of the workers' clock. */
  play(packet: TestPacket, nowUs: number): Rehearsal {
    const before = readCounters(this.#shared);
    this.#choice = null;
    this.#node.put(packet);
    this.#engine[packet.direction](0, 1, nowUs);
    const after = readCounters(this.#shared);
    const { direction } = packet;
    return {
      direction,
      drops: moved(before.drops[direction], after.drops[direction]),
      counts: moved(before.counters, after.counters),
      choice: this.#choice,
      sent: this.#node.sent().map(({ to, content }) => ({ ...endpointOf(to), packets: content })),
      written: this.#node.written(),
    };
  }

  #choose(serviceAt: number, flowHash: number, clientHash: number): number {
    const { view } = this.#candidates;
    const count = view.getUint32(serviceAt + ServiceLayout.CANDIDATE_COUNT, true);
    const records = new DataView(new ArrayBuffer(count * RECORD_SIZE));
    this.#candidates.copy(serviceAt, records, 0);
    const choice = this.#host.choose(serviceAt, flowHash, clientHash);
    this.#choice = {
      slot: view.getUint32(serviceAt + ServiceLayout.POLICY, true),
      candidates: Array.from({ length: count }, (_, index) => readCandidate(records, index * RECORD_SIZE)),
      choice,
    };
    return choice;
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
