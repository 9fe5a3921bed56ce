// Answers what would happen to a packet: rehearses it with the modules in force on a copy of the tables, and says what
// came of it.

import { SapwoodError } from "../../base/errors.ts";
import type { RehearsalOptions, ToldRehearsal } from "../../dataplane/worker/rehearse.ts";
import type { PolicyModule } from "../../dataplane/worker/worker-contract.ts";
import type { MemoryPlan } from "../../memory/memory-copy.ts";
import type { ExplanationReport } from "../../model/explanation-report.ts";
import type { NodeReport } from "../../model/reports.ts";
import type { Service, Tables } from "../../model/tables.ts";
import { familyOf, formatAddress } from "../../net/address.ts";
import { counterText } from "./counter-texts.ts";
import { type ExplainedPacket, frameOf, parseEnd, parseTarget } from "./explain-packet.ts";

interface ExplainerOptions {
  readonly nodeId: string;
  readonly plan: MemoryPlan;
  readonly tables: () => Tables;
  readonly nodes: () => readonly NodeReport[];
  readonly engine: () => WebAssembly.Module;
  readonly policies: () => readonly PolicyModule[];
  readonly nowMs: () => number;
  readonly rehearse: (options: RehearsalOptions) => Promise<ToldRehearsal>;
}

/** A port that workloads use as clients. */
const CLIENT_PORT = 40_000;
const IPV4_ADDRESSES_AT = 12;
const IPV6_ADDRESSES_AT = 8;

export class Explainer {
  readonly #options: ExplainerOptions;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  /** One at a time, because each takes a copy of the memory. Throws usage. */
  explain(to: string, from: string | undefined): Promise<ExplanationReport> {
    const packet = this.#packet(to, from);
    const explained = this.#turn.then(() => this.#explain(packet));
    this.#turn = explained.catch(() => undefined);
    return explained;
  }

  async #explain(packet: ExplainedPacket): Promise<ExplanationReport> {
    const { plan, engine, policies, nowMs, rehearse } = this.#options;
    const modules = policies();
    const rehearsal = await rehearse({
      plan,
      engine: engine(),
      policies: modules,
      packet: { direction: "egress", frame: frameOf(packet) },
      nowUs: nowMs() * 1000,
    });
    const { drops, counts, choice, sent, written } = rehearsal;
    const [reason] = Object.keys(drops);
    return {
      packet: {
        protocol: packet.protocol,
        source: packet.source.address,
        sourcePort: packet.source.port ?? null,
        destination: packet.destination.address,
        destinationPort: packet.destination.port ?? null,
      },
      verdict: verdictOf(rehearsal, reason),
      drop: reason === undefined ? null : { reason, ...wordsOf(reason) },
      flow: flowOf(counts, reason),
      choice: choice === null ? null : this.#choice(choice, packet.destination.address, modules),
      sent: sent.map(({ address, port, packets }) => ({
        ...addressesOf(packets),
        ...this.#nodeAt(address, port),
        address,
        port,
      })),
      written: written.map((frame) => addressesOf(frame.slice(VIRTIO_DIGITS))),
      counters: counts,
    };
  }

  #packet(to: string, from: string | undefined): ExplainedPacket {
    const { end: destination, protocol } = parseTarget(to);
    const end = from === undefined ? this.#firstWorkload(destination.address) : parseEnd(from);
    if (end === undefined || familyOf(end.address) !== familyOf(destination.address)) {
      const expected = "a workload's address, and a port if need be, of the family that it calls";
      throw new SapwoodError("usage", `"from" must be ${expected}; found "${from}".`);
    }
    return { source: { address: end.address, port: end.port ?? CLIENT_PORT }, destination, protocol };
  }

  /** A workload of this node, of the family that is called. */
  #firstWorkload(called: string): { readonly address: string; readonly port: undefined } {
    const { nodeId, tables } = this.#options;
    for (const { instances } of tables().services) {
      for (const { node, namespaceAddresses } of instances) {
        const address = namespaceAddresses.find((own) => familyOf(own) === familyOf(called));
        if (node === nodeId && address !== undefined) return { address, port: undefined };
      }
    }
    throw new SapwoodError("usage", `"from" must be given: no workload of this node has the family of ${called}.`);
  }

  #choice(
    { slot, candidates, choice }: NonNullable<ToldRehearsal["choice"]>,
    called: string,
    modules: readonly PolicyModule[],
  ): NonNullable<ExplanationReport["choice"]> {
    const service = this.#options
      .tables()
      .services.find(({ addresses }: Service) => addresses.some(({ address }) => address === called));
    const nodeOf = new Map(service?.instances.map(({ number, node }) => [number, node]));
    return {
      service: service?.name ?? null,
      policy: modules.find((module) => module.slot === slot)?.name ?? null,
      candidates: candidates.map(({ rttUs, distanceKm, ...candidate }, index) => ({
        ...candidate,
        node: nodeOf.get(candidate.instance) ?? null,
        rttMs: rttUs === 0 ? null : rttUs / 1000,
        distanceKm: Number.isNaN(distanceKm) ? null : distanceKm,
        isChosen: index === choice,
      })),
    };
  }

  #nodeAt(address: string, port: number): { readonly node: string | null; readonly mtu: number | null } {
    const found = this.#options.nodes().find(({ underlay }) => underlay.address === address && underlay.port === port);
    return { node: found?.id ?? null, mtu: found?.mtu ?? null };
  }
}

const VIRTIO_DIGITS = 20;

function verdictOf({ sent, written, counts }: ToldRehearsal, reason: string | undefined): ExplanationReport["verdict"] {
  if (reason !== undefined) return "dropped";
  if (sent.length > 0) return "sent";
  if (written.length > 0) return "delivered";
  return (counts.packetsParked ?? 0) > 0 ? "waits" : "nothing";
}

function flowOf(counts: ToldRehearsal["counts"], reason: string | undefined): ExplanationReport["flow"] {
  if ((counts.flowsOpened ?? 0) > 0) return "opened";
  return reason === undefined ? "known" : "none";
}

function wordsOf(reason: string): { readonly meaning: string | null; readonly advice: string | null } {
  const { meaning, advice } = counterText(reason) ?? {};
  return { meaning: meaning ?? null, advice: advice || null };
}

/** Of an IP packet, hexadecimal. */
function addressesOf(packet: string): { readonly source: string; readonly destination: string } {
  const bytes = Buffer.from(packet, "hex");
  const isV4 = (bytes[0] ?? 0) >>> 4 === 4;
  const [at, size] = isV4 ? [IPV4_ADDRESSES_AT, 4] : [IPV6_ADDRESSES_AT, 16];
  const text = (from: number): string => {
    const address = new Uint8Array(16);
    if (isV4) address.set([0xff, 0xff], 10);
    address.set(bytes.subarray(from, from + size), 16 - size);
    return formatAddress(address);
  };
  return { source: text(at), destination: text(at + size) };
}
