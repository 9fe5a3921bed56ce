// Table queries to the cluster: one at a time for a thing that is asked, within a limit, and fair. Urgent ones (what
// living connections and containers of this node depend on) have a limit of their own, so that nothing that is unknown
// delays them; of the others each asker has its turn.

import { canonicalAddress } from "../../../net/address.ts";
import { Odd, readTableQueryResult, type TableQueryResult } from "./messages.ts";

/** By the address of a service or an instance, or by the name of a job. */
export type Asked = { readonly sip: string } | { readonly sname: string };

export interface QueriesOptions {
  readonly send: (asked: Asked) => void;
  readonly isConnected: () => boolean;
  /** Is told of an answer that came after its query was given up, in the order in which the cluster gave them. */
  readonly onLate: (asked: Asked, result: TableQueryResult) => void;
  readonly tell: (sentence: string) => void;
  readonly timeoutMs?: number;
  readonly urgentMax?: number;
  readonly othersMax?: number;
}

/** "unanswered" also when the broker is away; "unwanted": it was not sent, because nobody waits for it any more. */
export type QueryOutcome = TableQueryResult | "unanswered" | "unwanted";

interface Query {
  readonly asked: Asked;
  readonly isUrgent: boolean;
  readonly isWanted: () => boolean;
  readonly answered: Promise<QueryOutcome>;
  readonly settle: (outcome: QueryOutcome) => void;
  timer: NodeJS.Timeout | undefined; // set once it is sent
}

const TIMEOUT_MS = 5000;
const URGENT_MAX = 32;
/** The cluster answers a query after the other; so many are ahead of an urgent one at most. */
const OTHERS_MAX = 8;
/** Queries that were given up and may be answered yet; the oldest goes. */
const LATE_MAX = 4096;

export class Queries {
  readonly #options: QueriesOptions;
  readonly #queries = new Map<string, Query>();
  readonly #urgent: string[] = [];
  readonly #others = new Map<number, string[]>(); // by asker, in the order of their turns
  readonly #late = new Map<string, { readonly asked: Asked; count: number }>();
  #urgentUnderway = 0;
  #othersUnderway = 0;

  constructor(options: QueriesOptions) {
    this.#options = options;
  }

  /**
   * What is asked already gets the same answer. `asker` matters for what is not urgent. When its turn comes, `isWanted`
   * says whether somebody still waits for the answer.
   */
  ask(asked: Asked, isUrgent: boolean, asker = 0, isWanted = () => true): Promise<QueryOutcome> {
    if (!this.#options.isConnected()) return Promise.resolve("unanswered");
    const key = keyOf(asked);
    const known = this.#queries.get(key);
    if (known !== undefined) return known.answered;
    let settle: (outcome: QueryOutcome) => void = () => undefined;
    const answered = new Promise<QueryOutcome>((resolve) => {
      settle = resolve;
    });
    this.#queries.set(key, { asked, isUrgent, isWanted, answered, settle, timer: undefined });
    const others = this.#others.get(asker);
    if (isUrgent) this.#urgent.push(key);
    else if (others === undefined) this.#others.set(asker, [key]);
    else others.push(key);
    this.#sendNext();
    return answered;
  }

  /** A message of the cluster. What nobody asked for is left alone. */
  onResult(payload: Uint8Array): void {
    const result = readTableQueryResult(payload);
    if (result instanceof Odd) return this.#options.tell(`a table query's result cannot be used: ${result.sentence}`);
    const { query_key, app_name } = result;
    const address = canonicalAddress(query_key);
    const key = address === undefined ? keyOf({ sname: query_key || app_name }) : keyOf({ sip: address });
    if (this.#queries.get(key)?.timer !== undefined) return this.#end(key, result);
    const late = this.#late.get(key);
    if (late === undefined) return;
    late.count -= 1;
    if (late.count === 0) this.#late.delete(key);
    this.#options.onLate(late.asked, result);
  }

  /** The broker is gone, and the answers with it. */
  onDisconnected(): void {
    this.#urgent.length = 0;
    this.#others.clear();
    this.#late.clear();
    for (const key of [...this.#queries.keys()]) this.#end(key, "unanswered");
  }

  #sendNext(): void {
    const { send, timeoutMs = TIMEOUT_MS, urgentMax = URGENT_MAX, othersMax = OTHERS_MAX } = this.#options;
    for (;;) {
      const key =
        (this.#urgentUnderway < urgentMax ? this.#firstWanted(this.#urgent) : undefined) ??
        (this.#othersUnderway < othersMax ? this.#nextOfOthers() : undefined);
      const query = key === undefined ? undefined : this.#queries.get(key);
      if (key === undefined || query === undefined) return;
      if (query.isUrgent) this.#urgentUnderway += 1;
      else this.#othersUnderway += 1;
      query.timer = setTimeout(() => this.#giveUp(key, query), timeoutMs);
      query.timer.unref();
      send(query.asked);
    }
  }

  /** Of whoever has waited longest for its turn. */
  #nextOfOthers(): string | undefined {
    for (const [asker, keys] of this.#others) {
      this.#others.delete(asker);
      const key = this.#firstWanted(keys);
      if (keys.length > 0) this.#others.set(asker, keys); // behind all others
      if (key !== undefined) return key;
    }
    return undefined;
  }

  /** Takes it out of a queue, and all in front of it: a burst that is over holds up nobody behind it. */
  #firstWanted(keys: string[]): string | undefined {
    for (let key = keys.shift(); key !== undefined; key = keys.shift()) {
      const query = this.#queries.get(key);
      if (query?.isWanted()) return key;
      this.#queries.delete(key);
      query?.settle("unwanted");
    }
    return undefined;
  }

  #giveUp(key: string, { asked }: Query): void {
    const count = (this.#late.get(key)?.count ?? 0) + 1;
    this.#late.delete(key);
    this.#late.set(key, { asked, count });
    const [oldest] = this.#late.keys();
    if (this.#late.size > LATE_MAX && oldest !== undefined) this.#late.delete(oldest);
    this.#end(key, "unanswered");
  }

  #end(key: string, outcome: QueryOutcome): void {
    const query = this.#queries.get(key);
    if (query === undefined) return;
    this.#queries.delete(key);
    if (query.timer !== undefined) {
      clearTimeout(query.timer);
      if (query.isUrgent) this.#urgentUnderway -= 1;
      else this.#othersUnderway -= 1;
    }
    query.settle(outcome);
    this.#sendNext();
  }
}

function keyOf(asked: Asked): string {
  return "sip" in asked ? `address ${asked.sip}` : `name ${asked.sname}`;
}
