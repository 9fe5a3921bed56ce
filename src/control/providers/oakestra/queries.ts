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
  readonly tell: (sentence: string) => void;
  readonly timeoutMs?: number;
  readonly urgentMax?: number;
  readonly othersMax?: number;
}

/** "unanswered" also when the broker is away. */
export type QueryOutcome = TableQueryResult | "unanswered";

interface Query {
  readonly asked: Asked;
  readonly isUrgent: boolean;
  readonly answered: Promise<QueryOutcome>;
  readonly settle: (outcome: QueryOutcome) => void;
  timer: NodeJS.Timeout | undefined; // set once it is sent
}

const TIMEOUT_MS = 5000;
const URGENT_MAX = 32;
/** The cluster answers a query after the other; so many are ahead of an urgent one at most. */
const OTHERS_MAX = 8;

export class Queries {
  readonly #options: QueriesOptions;
  readonly #queries = new Map<string, Query>();
  readonly #urgent: string[] = [];
  readonly #others = new Map<number, string[]>(); // by asker, in the order of their turns
  #urgentUnderway = 0;
  #othersUnderway = 0;

  constructor(options: QueriesOptions) {
    this.#options = options;
  }

  /** What is asked already gets the same answer. `asker` matters for what is not urgent. */
  ask(asked: Asked, isUrgent: boolean, asker = 0): Promise<QueryOutcome> {
    if (!this.#options.isConnected()) return Promise.resolve("unanswered");
    const key = keyOf(asked);
    const known = this.#queries.get(key);
    if (known !== undefined) return known.answered;
    let settle: (outcome: QueryOutcome) => void = () => undefined;
    const answered = new Promise<QueryOutcome>((resolve) => {
      settle = resolve;
    });
    this.#queries.set(key, { asked, isUrgent, answered, settle, timer: undefined });
    if (isUrgent) this.#urgent.push(key);
    else this.#others.set(asker, [...(this.#others.get(asker) ?? []), key]);
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
    if (this.#queries.get(key)?.timer !== undefined) this.#end(key, result);
  }

  /** The broker is gone, and the answers with it. */
  onDisconnected(): void {
    this.#urgent.length = 0;
    this.#others.clear();
    for (const key of [...this.#queries.keys()]) this.#end(key, "unanswered");
  }

  #sendNext(): void {
    const { send, timeoutMs = TIMEOUT_MS, urgentMax = URGENT_MAX, othersMax = OTHERS_MAX } = this.#options;
    for (;;) {
      const key =
        (this.#urgentUnderway < urgentMax ? this.#urgent.shift() : undefined) ??
        (this.#othersUnderway < othersMax ? this.#nextOfOthers() : undefined);
      const query = key === undefined ? undefined : this.#queries.get(key);
      if (key === undefined || query === undefined) return;
      if (query.isUrgent) this.#urgentUnderway += 1;
      else this.#othersUnderway += 1;
      query.timer = setTimeout(() => this.#end(key, "unanswered"), timeoutMs);
      query.timer.unref();
      send(query.asked);
    }
  }

  /** Of whoever has waited longest for its turn. */
  #nextOfOthers(): string | undefined {
    const [asker, keys] = this.#others.entries().next().value ?? [];
    if (asker === undefined || keys === undefined) return undefined;
    const [key, ...rest] = keys;
    this.#others.delete(asker);
    if (rest.length > 0) this.#others.set(asker, rest); // behind all others
    return key;
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
