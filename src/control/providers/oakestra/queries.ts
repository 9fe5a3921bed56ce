// Table queries to the cluster: one at a time for a thing that is asked, within a limit, and fair. Urgent ones (what
// living connections, their answers and containers of this node depend on) have a limit of their own, so that nothing
// that is unknown delays them, not even what the same workload asks for besides. In both each asker has its turn.

import { canonicalAddress } from "../../../net/address.ts";
import { FairQueue } from "./fair-queue.ts";
import {
  Odd,
  readInstanceRecord,
  readServiceAddress,
  readTableQueryResult,
  type TableQueryResult,
} from "./messages.ts";

/** By the address of a service or an instance, or by the name of a job. */
export type Asked = { readonly sip: string } | { readonly sname: string };

/** On whose behalf something is asked. */
export interface Asking {
  readonly isUrgent: boolean;
  readonly askers: readonly number[];
  /** Whether somebody still waits for the answer; looked at when the query's turn comes. Not given = always. */
  readonly isWanted?: () => boolean;
}

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
  readonly key: string;
  readonly asked: Asked;
  /** Where it waits for its turn: several may. */
  readonly places: Map<FairQueue<Query>, Set<number>>;
  isWanted: (() => boolean) | undefined;
  readonly answered: Promise<QueryOutcome>;
  readonly settle: (outcome: QueryOutcome) => void;
  underway: Underway | undefined; // set once it is sent
}

interface Underway {
  readonly queue: FairQueue<Query>;
  readonly asker: number; // whose turn it was
  readonly timer: NodeJS.Timeout;
}

const TIMEOUT_MS = 5000;
const URGENT_MAX = 32;
/** The cluster answers a query after the other; so many are ahead of an urgent one at most, and one for each asker. */
const OTHERS_MAX = 8;
/** Queries that were given up and may be answered yet; the oldest goes. */
const LATE_MAX = 4096;
/** The node itself, for its containers. No workload has this number. */
const OWN: Asking = { isUrgent: true, askers: [0] };

export class Queries {
  readonly #options: QueriesOptions;
  readonly #queries = new Map<string, Query>();
  readonly #urgent: FairQueue<Query>;
  readonly #others: FairQueue<Query>;
  #oddMessages = 0;
  readonly #late = new Map<string, { readonly asked: Asked; count: number }>();

  constructor(options: QueriesOptions) {
    this.#options = options;
    this.#urgent = new FairQueue(options.urgentMax ?? URGENT_MAX);
    this.#others = new FairQueue(options.othersMax ?? OTHERS_MAX);
  }

  /**
   * What is asked already gets the same answer, and its turn is that of whoever comes first of all that ask for it.
   * Without `asking` the node itself asks.
   */
  ask(asked: Asked, asking: Asking = OWN): Promise<QueryOutcome> {
    if (!this.#options.isConnected()) return Promise.resolve("unanswered");
    const query = this.#queries.get(keyOf(asked)) ?? this.#add(asked, asking);
    this.join(asked, asking);
    return query.answered;
  }

  /** Somebody asks as well for what is asked already, and may have an earlier turn; nothing if it is not, or was sent. */
  join(asked: Asked, asking: Asking): void {
    const query = this.#queries.get(keyOf(asked));
    if (query === undefined || query.underway !== undefined) return;
    if (asking.isWanted === undefined) query.isWanted = undefined;
    this.#place(query, asking);
    this.#sendNext();
  }

  /** Results that were left out as a whole. */
  get oddMessages(): number {
    return this.#oddMessages;
  }

  /** A message of the cluster. What nobody asked for is left alone. */
  onResult(payload: Uint8Array): void {
    const result = readTableQueryResult(payload);
    if (result instanceof Odd) {
      this.#oddMessages += 1;
      return this.#options.tell(`a table query's result cannot be used: ${result.sentence}`);
    }
    const keys = keysOf(result);
    const answered = keys
      .flatMap((key) => this.#queries.get(key) ?? [])
      .filter(({ underway }) => underway !== undefined);
    for (const query of answered) this.#end(query, result);
    if (answered.length > 0) return this.#sendNext();
    const key = keys.find((one) => this.#late.has(one));
    const late = key === undefined ? undefined : this.#late.get(key);
    if (key === undefined || late === undefined) return;
    late.count -= 1;
    if (late.count === 0) this.#late.delete(key);
    this.#options.onLate(late.asked, result);
  }

  /** The broker is gone, and the answers with it. */
  onDisconnected(): void {
    this.#late.clear();
    for (const query of [...this.#queries.values()]) this.#end(query, "unanswered");
  }

  #add(asked: Asked, { isWanted }: Asking): Query {
    let settle: (outcome: QueryOutcome) => void = () => undefined;
    const answered = new Promise<QueryOutcome>((resolve) => {
      settle = resolve;
    });
    const key = keyOf(asked);
    const query = { key, asked, places: new Map(), isWanted, answered, settle, underway: undefined };
    this.#queries.set(key, query);
    return query;
  }

  #place(query: Query, { isUrgent, askers }: Asking): void {
    const queue = isUrgent ? this.#urgent : this.#others;
    const known = query.places.get(queue) ?? new Set();
    query.places.set(queue, known);
    for (const asker of askers) {
      known.add(asker);
      queue.add(asker, query);
    }
  }

  #sendNext(): void {
    const { send, timeoutMs = TIMEOUT_MS } = this.#options;
    while (this.#options.isConnected()) {
      const next = this.#takeFrom(this.#urgent) ?? this.#takeFrom(this.#others);
      if (next === undefined) return;
      const { query, queue, asker } = next;
      leavePlaces(query);
      const timer = setTimeout(() => this.#giveUp(query), timeoutMs).unref();
      query.underway = { queue, asker, timer };
      send(query.asked);
    }
  }

  #takeFrom(queue: FairQueue<Query>) {
    const taken = queue.take((query) => {
      const isWanted = query.isWanted?.() ?? true;
      if (!isWanted) this.#end(query, "unwanted");
      return isWanted;
    });
    return taken === undefined ? undefined : { query: taken.thing, queue, asker: taken.asker };
  }

  #giveUp(query: Query): void {
    const { key, asked } = query;
    const count = (this.#late.get(key)?.count ?? 0) + 1;
    this.#late.delete(key);
    this.#late.set(key, { asked, count });
    const [oldest] = this.#late.keys();
    if (this.#late.size > LATE_MAX && oldest !== undefined) this.#late.delete(oldest);
    this.#end(query, "unanswered");
    this.#sendNext();
  }

  #end(query: Query, outcome: QueryOutcome): void {
    this.#queries.delete(query.key);
    leavePlaces(query);
    if (query.underway !== undefined) {
      clearTimeout(query.underway.timer);
      query.underway.queue.end(query.underway.asker);
    }
    query.settle(outcome);
  }
}

function leavePlaces(query: Query): void {
  for (const [queue, askers] of query.places) {
    for (const asker of askers) queue.remove(asker, query);
  }
  query.places.clear();
}

/** What a result may answer. One without query_key answers by the job's name, and by all addresses in it. */
function keysOf({ query_key, app_name, instance_list }: TableQueryResult): string[] {
  const address = canonicalAddress(query_key);
  if (address !== undefined) return [keyOf({ sip: address })];
  if (query_key !== "") return [keyOf({ sname: query_key })];
  const texts = instance_list.map(readInstanceRecord).flatMap((record) => {
    return record instanceof Odd ? [] : record.service_ip.map(readServiceAddress);
  });
  const addresses = texts.flatMap((read) => (read instanceof Odd ? [] : [read.Address, read.Address_v6]));
  const canonical = new Set(addresses.flatMap((text) => canonicalAddress(text) ?? []));
  return [keyOf({ sname: app_name }), ...[...canonical].map((sip) => keyOf({ sip }))];
}

function keyOf(asked: Asked): string {
  return "sip" in asked ? `address ${asked.sip}` : `name ${asked.sname}`;
}
