// Looks at all flows for everybody who looks at the page: who serves them, who carries them, which match a filter. One
// walk over the flow table answers all clients. It gives the event loop its turn after each slice, and rests nine times
// as long as it worked, so that a table of a million flows takes a tenth of the main thread at most.

import { setImmediate } from "node:timers/promises";
import { type FlowView, flowRecordEnd, liveFlowsBetween, PacketGrowth } from "../../memory/flows.ts";
import type { PageRows } from "../../model/page-reports.ts";
import type { FlowReport } from "../../model/reports.ts";
import { flowReport } from "../observe/flow-report.ts";
import type { PageSource } from "./page-source.ts";
import type { IndexedInstance, TableIndex } from "./table-index.ts";

/** Records of a slice: a few milliseconds of work, after which others have their turn. */
const SLICE = 512;
const SLICE_MIN = 8;
const REST_MIN_MS = 800;
const REST_PER_WORK = 9;

export interface FlowList {
  readonly filter: string;
  readonly offset: number;
  readonly limit: number;
}

interface InstanceFlows {
  live: number;
  ended: number;
}

interface NodeFlows {
  flows: number;
  packets: number;
}

/** What a walk found. */
export interface FlowSurvey {
  readonly instances: ReadonlyMap<number, InstanceFlows>; // by record
  readonly nodes: ReadonlyMap<string, { readonly flows: number; readonly packets: number | null }>;
  /** Flows to service addresses, by address and number of the instance. */
  readonly addresses: ReadonlyMap<string, ReadonlyMap<number, number>>;
  readonly lists: ReadonlyMap<string, PageRows<FlowReport>>; // by keyOf(list)
  /** Whether there was a walk before, so that packets in a second are known. */
  readonly hasRates: boolean;
  /** How long the walk worked. */
  readonly passMs: number;
}

export const NOTHING_SURVEYED: FlowSurvey = {
  instances: new Map(),
  nodes: new Map(),
  addresses: new Map(),
  lists: new Map(),
  hasRates: false,
  passMs: 0,
};

export function keyOf({ filter, offset }: Pick<FlowList, "filter" | "offset">): string {
  return `${offset} ${filter.trim().toLowerCase()}`;
}

export class FlowSurveyor {
  readonly #source: Pick<PageSource, "shared" | "nowMs">;
  readonly #onPass: (survey: FlowSurvey) => void;
  readonly #onFailure: (error: unknown) => void;
  #isWalking = false;
  #restsUntilMs = 0;
  #packets = new PacketGrowth();
  #walkedMs: number | undefined;

  /** `onFailure` is told of unexpected errors; the next walk begins as if there had been none. */
  constructor(
    source: Pick<PageSource, "shared" | "nowMs">,
    onPass: (survey: FlowSurvey) => void,
    onFailure: (error: unknown) => void,
  ) {
    this.#source = source;
    this.#onPass = onPass;
    this.#onFailure = onFailure;
  }

  /** Begins a walk unless one goes on or the last one was just now. */
  want(index: TableIndex, lists: readonly FlowList[]): void {
    if (this.#isWalking || performance.now() < this.#restsUntilMs) return;
    this.#isWalking = true;
    this.#restsUntilMs = performance.now() + REST_MIN_MS;
    this.#walk(index, lists)
      .then((survey) => {
        this.#restsUntilMs = performance.now() + Math.max(REST_MIN_MS, REST_PER_WORK * survey.passMs);
        this.#onPass(survey);
      })
      .catch(this.#onFailure)
      .finally(() => {
        this.#isWalking = false;
      });
  }

  /** When nobody looks any more. */
  forget(): void {
    this.#packets = new PacketGrowth();
    this.#walkedMs = undefined;
  }

  async #walk(index: TableIndex, lists: readonly FlowList[]): Promise<FlowSurvey> {
    const { shared, nowMs } = this.#source;
    const end = flowRecordEnd(shared);
    const startedMs = nowMs();
    const packets = this.#packets;
    packets.begin(end);
    const pass = new Pass(index, lists, startedMs);
    let workMs = 0;
    const slice = Math.max(SLICE_MIN, Math.floor(SLICE / Math.max(1, lists.length))); // each flow is held to each filter
    for (let first = 0; first < end; first += slice) {
      const sliceMs = performance.now();
      for (const flow of liveFlowsBetween(shared, first, Math.min(end, first + slice))) {
        pass.take(flow, packets.grown(flow.record, flow.forwardPackets + flow.reversePackets));
      }
      workMs += performance.now() - sliceMs;
      await setImmediate();
    }
    const seconds = this.#walkedMs === undefined ? undefined : (startedMs - this.#walkedMs) / 1000;
    this.#walkedMs = startedMs;
    return pass.survey(seconds, workMs);
  }
}

/** Counts of one walk. */
class Pass {
  readonly #index: TableIndex;
  readonly #nowMs: number;
  readonly #instances = new Map<number, InstanceFlows>();
  readonly #nodes = new Map<string, NodeFlows>();
  readonly #addresses = new Map<string, Map<number, number>>();
  readonly #lists: readonly { readonly list: FlowList; readonly words: readonly string[]; readonly found: Found }[];

  constructor(index: TableIndex, lists: readonly FlowList[], nowMs: number) {
    this.#index = index;
    this.#nowMs = nowMs;
    this.#lists = lists.map((list) => ({ list, words: wordsOf(list.filter), found: { rows: [], matching: 0 } }));
  }

  take(flow: FlowView, packets: number): void {
    const instance = flow.isInstanceKnown ? this.#index.instances.get(flow.instance) : undefined;
    if (instance !== undefined) this.#count(flow, instance, packets);
    let text: string | undefined;
    for (const { list, words, found } of this.#lists) {
      if (words.length > 0) text ??= searchText(flow, instance);
      if (text !== undefined && !isMatch(text, words)) continue;
      const row = found.matching - list.offset;
      found.matching += 1;
      if (row >= 0 && row < list.limit) found.rows.push(flowReport(flow, instance, this.#nowMs));
    }
  }

  /** `seconds` since the walk before, if there was one. */
  survey(seconds: number | undefined, passMs: number): FlowSurvey {
    const hasRates = seconds !== undefined && seconds > 0;
    const perSecond = (packets: number): number | null => (hasRates ? packets / seconds : null);
    return {
      instances: this.#instances,
      nodes: new Map(
        [...this.#nodes].map(([node, { flows, packets }]) => [node, { flows, packets: perSecond(packets) }]),
      ),
      addresses: this.#addresses,
      lists: new Map(
        this.#lists.map(({ list, found }) => [keyOf(list), { ...found, offset: list.offset } as PageRows<FlowReport>]),
      ),
      hasRates,
      passMs,
    };
  }

  #count(flow: FlowView, { number, node }: IndexedInstance, packets: number): void {
    const ofInstance = entry(this.#instances, flow.instance, () => ({ live: 0, ended: 0 }));
    if (flow.isOver) ofInstance.ended += 1;
    else ofInstance.live += 1;
    const ofNode = entry(this.#nodes, node, () => ({ flows: 0, packets: 0 }));
    ofNode.flows += 1;
    ofNode.packets += packets;
    const { called } = flow;
    if (!this.#index.serviceOf.has(called)) return; // an instance address
    const spread = entry(this.#addresses, called, () => new Map<number, number>());
    spread.set(number, (spread.get(number) ?? 0) + 1);
  }
}

interface Found {
  readonly rows: FlowReport[];
  matching: number;
}

function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function wordsOf(filter: string): string[] {
  return filter.toLowerCase().split(/\s+/).filter(Boolean);
}

/** Every word is somewhere in what a row shows. */
function isMatch(text: string, words: readonly string[]): boolean {
  return words.every((word) => text.includes(word));
}

function searchText(flow: FlowView, instance: IndexedInstance | undefined): string {
  const { protocol, protocolName, client, clientPort, called, calledPort, state } = flow;
  const name = protocolName === "other" ? protocol : protocolName;
  const to =
    instance === undefined ? "" : `${instance.service} ${instance.service}#${instance.number} ${instance.node}`;
  return `${name} ${client}:${clientPort} ${called}:${calledPort} ${state} ${to}`.toLowerCase();
}
