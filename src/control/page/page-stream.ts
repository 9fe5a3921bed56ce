// Tells everybody who looks at the page how it goes, as server-sent events. All that is told is read and computed once
// a second for all of them; when nobody looks, nothing is. A client that does not read gets no more than it has taken,
// and is cut off after a while.

import type { Writable } from "node:stream";
import type { PageQuery } from "../../model/page-reports.ts";
import { type FlowList, type FlowSurvey, FlowSurveyor, keyOf, NOTHING_SURVEYED } from "./flow-survey.ts";
import { PageReader, type PageReading } from "./page-reader.ts";
import type { PageSource } from "./page-source.ts";
import { PageViews, ROWS_MAX } from "./page-views.ts";

export const CLIENTS_MAX = 48;
const TICK_MS = 1000;
const STALL_LIMIT_MS = 15_000;
/** A client that looks at something else comes again at once. */
const LINGER_MS = 3000;

interface StreamOptions {
  readonly source: PageSource;
  readonly takesOrders: boolean;
  /** Is told of unexpected errors. */
  readonly onFailure: (error: unknown) => void;
  readonly stallLimitMs?: number;
}

interface Client {
  readonly query: PageQuery;
  readonly response: Writable;
  /** When it stopped taking what it is told; undefined as long as it takes all. */
  stalledSinceMs: number | undefined;
  /** It was told what nobody had looked for yet, and waits for the walk that looks for it. */
  isWaiting: boolean;
}

export class PageStream {
  readonly #options: StreamOptions;
  readonly #clients = new Set<Client>();
  readonly #reader: PageReader;
  readonly #surveyor: FlowSurveyor;
  #survey: FlowSurvey = NOTHING_SURVEYED;
  #reading: PageReading | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lingering: NodeJS.Timeout | undefined;

  constructor(options: StreamOptions) {
    const { source, takesOrders } = options;
    this.#options = options;
    this.#reader = new PageReader(source, takesOrders);
    this.#surveyor = new FlowSurveyor(source, (survey) => this.#surveyed(survey), options.onFailure);
  }

  get hasRoom(): boolean {
    return this.#clients.size < CLIENTS_MAX;
  }

  /** Tells a client from now on; it has the samples up to `sinceMs` of the epoch. */
  add(response: Writable, query: PageQuery, sinceMs: number): void {
    const client: Client = { query, response, stalledSinceMs: undefined, isWaiting: true };
    clearTimeout(this.#lingering);
    this.#clients.add(client);
    response.on("close", () => this.#remove(client));
    response.on("drain", () => {
      client.stalledSinceMs = undefined;
    });
    this.#guarded(() => {
      this.#reading ??= this.#reader.read();
      this.#tell([client], eventText("history", this.#reader.samplesSince(sinceMs)) + this.#overviewText());
      this.#want();
    });
    this.#timer ??= setInterval(() => this.#guarded(() => this.#tick()), TICK_MS);
  }

  /** Ends all answers. */
  close(): void {
    for (const { response } of this.#clients) response.destroy();
    clearTimeout(this.#lingering);
  }

  #remove(client: Client): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#lingering = setTimeout(() => this.#forget(), LINGER_MS).unref();
  }

  #forget(): void {
    this.#reading = undefined;
    this.#survey = NOTHING_SURVEYED;
    this.#surveyor.forget();
  }

  #tick(): void {
    this.#cutOffStalled();
    this.#reading = this.#reader.read();
    this.#tell([...this.#clients], this.#overviewText());
    this.#want();
  }

  #want(): void {
    if (this.#reading === undefined) return;
    const lists = new Map<string, FlowList>();
    for (const { query } of this.#clients) {
      if (query.view === "flows") lists.set(keyOf(query), { ...query, limit: ROWS_MAX });
    }
    this.#surveyor.want(this.#reading.readings.index, [...lists.values()]);
  }

  #surveyed(survey: FlowSurvey): void {
    if (this.#clients.size === 0) return;
    this.#survey = survey;
    const waiting = [...this.#clients].filter(({ isWaiting }) => isWaiting);
    for (const client of waiting) client.isWaiting = !this.#isSurveyed(client);
    this.#tell(waiting, "");
  }

  #isSurveyed({ query }: Client): boolean {
    return query.view === "flows" ? this.#survey.lists.has(keyOf(query)) : this.#survey !== NOTHING_SURVEYED;
  }

  #overviewText(): string {
    return this.#reading === undefined ? "" : eventText("overview", this.#reading.overview);
  }

  /** First what is the same for all, then what each looks at. Those that look at the same are told the same text. */
  #tell(clients: readonly Client[], first: string): void {
    if (this.#reading === undefined || clients.length === 0) return;
    const views = new PageViews({ ...this.#reading.readings, survey: this.#survey });
    const texts = new Map<string, string>();
    for (const client of clients) {
      const key = JSON.stringify(client.query);
      const text = texts.get(key) ?? eventText("view", views.report(client.query));
      texts.set(key, text);
      this.#write(client, first + text);
    }
  }

  /** One that has not taken what it was told before is not told more. */
  #write(client: Client, text: string): void {
    const { response } = client;
    if (response.destroyed || client.stalledSinceMs !== undefined) return;
    if (!response.write(text)) client.stalledSinceMs = performance.now();
  }

  #cutOffStalled(): void {
    const limitMs = this.#options.stallLimitMs ?? STALL_LIMIT_MS;
    const now = performance.now();
    for (const { response, stalledSinceMs } of this.#clients) {
      if (stalledSinceMs !== undefined && now - stalledSinceMs > limitMs) response.destroy();
    }
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.onFailure(error);
    }
  }
}

/** WHATWG HTML, section 9.2: JSON has no line breaks. */
function eventText(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
