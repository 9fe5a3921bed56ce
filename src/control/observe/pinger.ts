// One round trip to another node: by the next probe that the data plane sends there in any case. So a ping costs no
// packet and nothing of the packets' way, and measures what the choices of policies are made by.

import { setTimeout } from "node:timers/promises";
import { SapwoodError } from "../../base/errors.ts";
import { meantText, nameList, shortText } from "../../base/issues.ts";
import { isProbeAnswered, lastProbe, lastRoundTrip } from "../../memory/measurements.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { ExplanationReport } from "../../model/explanation-report.ts";
import type { NodeReport, PingReport } from "../../model/reports.ts";
import type { Tables } from "../../model/tables.ts";
import { canonicalAddress } from "../../net/address.ts";

const LOOK_MS = 5;
/** Beyond the interval of probes: the data plane looks 20 times a second, and asks a silent node once a second. */
const SEND_MS = 2000;
/** Round trips may take seconds. */
const ANSWER_MS = 3000;
/** A sample follows its answer within this time; none does after a pause of this process. */
const SAMPLE_MS = 50;
/** Nobody waits longer for a probe: the command's own patience ends after 30 s. */
const INTERVAL_MAX_MS = 20_000;

interface PingerOptions {
  readonly shared: SharedMemory;
  readonly store: { snapshot(): Tables; nodeIndex(id: string): number | undefined };
  readonly nodes: () => readonly NodeReport[];
  readonly probeIntervalMs: number;
  /** What would happen to a packet. */
  readonly explain: (to: string) => Promise<ExplanationReport>;
  readonly nowMs: () => number;
}

/** Who is meant: a node, and an instance there if an address was named. */
interface Target {
  readonly node: string;
  readonly service: string | null;
  readonly instance: number | null;
}

export class Pinger {
  readonly #options: PingerOptions;

  constructor(options: PingerOptions) {
    this.#options = options;
  }

  /**
   * `to` is the id of a node, or an address of a node, an instance or a service. Throws not-found for any other, and
   * no-answer when nobody is asked at all.
   */
  async ping(to: string): Promise<PingReport> {
    const { service, instance, node: id } = await this.#target(to);
    const node = this.#node(id);
    const report = (rttMs: number | null): PingReport => {
      const { isLocal, underlay, encryption, mtu, state } = this.#node(id);
      return { to, node: id, service, instance, isLocal, underlay, encryption, state, mtu, rttMs };
    };
    if (node.isLocal) return report(0);
    this.#expectProbes();
    const index = this.#options.store.nodeIndex(id);
    if (index === undefined) throw new SapwoodError("not-found", `The node ${id} has just been removed.`);
    return report(await this.#roundTripMs(index));
  }

  /** Null: the probe was not answered. */
  async #roundTripMs(node: number): Promise<number | null> {
    const { shared, probeIntervalMs } = this.#options;
    const before = lastProbe(shared, node);
    if (!(await this.#until(() => lastProbe(shared, node) !== before, probeIntervalMs + SEND_MS))) return null;
    const number = lastProbe(shared, node);
    const { place } = lastRoundTrip(shared, node);
    const isSampled = (): boolean => lastRoundTrip(shared, node).place !== place;
    if (!(await this.#until(() => isProbeAnswered(shared, node, number), ANSWER_MS))) return null;
    await this.#until(isSampled, SAMPLE_MS);
    return lastRoundTrip(shared, node).rttUs / 1000;
  }

  async #until(isTrue: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#options.nowMs() + limitMs;
    while (!isTrue()) {
      if (this.#options.nowMs() > endMs) return false;
      await setTimeout(LOOK_MS);
    }
    return true;
  }

  #expectProbes(): void {
    const { probeIntervalMs } = this.#options;
    if (probeIntervalMs === 0) throw new SapwoodError("no-answer", "Nodes are not probed here: probe.interval is 0.");
    if (probeIntervalMs <= INTERVAL_MAX_MS) return;
    throw new SapwoodError(
      "no-answer",
      `Nodes are probed every ${probeIntervalMs / 1000} s here: see "sapwood nodes".`,
    );
  }

  #node(id: string): NodeReport {
    const found = this.#options.nodes().find((node) => node.id === id);
    if (found === undefined) throw new SapwoodError("not-found", `The node ${id} has just been removed.`);
    return found;
  }

  async #target(to: string): Promise<Target> {
    const nodes = this.#options.nodes();
    const address = canonicalAddress(to);
    const node = nodes.find(({ id, underlay }) => id === to || underlay.address === address);
    if (node !== undefined) return { node: node.id, service: null, instance: null };
    const { services } = this.#options.store.snapshot();
    if (address !== undefined) {
      if (services.some(({ addresses }) => addresses.some((one) => one.address === address))) {
        return this.#chosen(address);
      }
      const target = this.#instanceAt(address);
      if (target !== undefined) return target;
      throw new SapwoodError("not-found", `No node, service or instance has the address ${address}.`);
    }
    const ids = nodes.map(({ id }) => id);
    throw new SapwoodError(
      "not-found",
      `There is no node "${shortText(to)}", and it is no address; there are ${nameList(ids)}${meantText(to, ids)}.`,
    );
  }

  /** The instance that a packet of a workload of this node would be sent to now. */
  async #chosen(address: string): Promise<Target> {
    const { drop, choice, sent, written } = await this.#options.explain(`${address}/icmp`);
    if (drop !== null) {
      const what = `Packets to ${address} are dropped here (${drop.reason})`;
      throw new SapwoodError("no-answer", [what, drop.meaning, drop.advice].filter((part) => part !== null).join(": "));
    }
    const chosen = choice?.candidates.find(({ isChosen }) => isChosen);
    if (chosen?.node != null) return { node: chosen.node, service: choice?.service ?? null, instance: chosen.instance };
    const found = this.#instanceAt((sent[0] ?? written[0])?.destination ?? "");
    if (found !== undefined) return found;
    throw new SapwoodError("no-answer", `Which instance serves ${address} could not be found out.`);
  }

  #instanceAt(address: string): Target | undefined {
    for (const { name, instances } of this.#options.store.snapshot().services) {
      for (const { number, node, instanceAddresses, namespaceAddresses } of instances) {
        if (![...instanceAddresses, ...namespaceAddresses].includes(address)) continue;
        return { node, service: name, instance: number };
      }
    }
    return undefined;
  }
}
