// Answers what would happen to a packet: rehearses it with the modules in force on a copy of the tables, and says what
// came of it.

import { SapwoodError } from "../../base/errors.ts";
import type { RehearsalOptions, ToldRehearsal } from "../../dataplane/worker/rehearse.ts";
import type { PolicyModule } from "../../dataplane/worker/worker-contract.ts";
import type { MemoryPlan } from "../../memory/memory-copy.ts";
import type { ExplanationReport } from "../../model/explanation-report.ts";
import type { NodeReport } from "../../model/reports.ts";
import type { Tables } from "../../model/tables.ts";
import { familyOf } from "../../net/address.ts";
import { type ExplainedPacket, frameOf, parseEnd, parseTarget } from "./explain-packet.ts";
import { type ExplanationNames, explanationOf } from "./explanation.ts";

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
    const told: ExplanationReport["packet"] = {
      protocol: packet.protocol,
      source: packet.source.address,
      sourcePort: packet.source.port ?? null,
      destination: packet.destination.address,
      destinationPort: packet.destination.port ?? null,
    };
    return explanationOf(told, rehearsal, {
      services: this.#options.tables().services,
      policyOf: (slot) => modules.find((module) => module.slot === slot)?.name ?? null,
      nodeAt: (address, port) => this.#nodeAt(address, port),
    });
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

  #nodeAt(address: string, port: number): ReturnType<ExplanationNames["nodeAt"]> {
    const found = this.#options.nodes().find(({ underlay }) => underlay.address === address && underlay.port === port);
    return { node: found?.id ?? null, mtu: found?.mtu ?? null };
  }
}
