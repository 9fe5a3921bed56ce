// The stream of the proxy, read as long as the page is there: what it told last, and why it tells nothing.

import type { PageOverview, PageQuery, PageSample, PageViewReport } from "../model/page-reports.ts";
import { eventParser, type StreamEvent } from "./event-parser.ts";
import { parametersOf } from "./place.ts";

const SAMPLES_MAX = 600;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 8000;
/** A proxy tells something every second. */
const SILENCE_MS = 10_000;

/** What the page knows. */
export interface Told {
  readonly overview: PageOverview | undefined;
  readonly view: PageViewReport | undefined;
  readonly samples: readonly PageSample[];
  readonly state: "connecting" | "live" | "broken" | "token";
  /** Why it is broken, or why a token is asked for. */
  readonly problem: string;
}

export const NOTHING_TOLD: Told = {
  overview: undefined,
  view: undefined,
  samples: [],
  state: "connecting",
  problem: "",
};

export class Connection {
  readonly #onTold: (told: Told) => void;
  #told = NOTHING_TOLD;
  #token: string;
  #query: PageQuery;
  #reading: AbortController | undefined;
  #retry: number | undefined;
  #retryMs = RETRY_FIRST_MS;

  constructor(query: PageQuery, token: string, onTold: (told: Told) => void) {
    this.#query = query;
    this.#token = token;
    this.#onTold = onTold;
    this.#connect();
  }

  look(query: PageQuery): void {
    if (parametersOf(query).toString() === parametersOf(this.#query).toString()) return;
    this.#query = query;
    this.#connect();
  }

  authorize(token: string): void {
    this.#token = token;
    this.#connect();
  }

  close(): void {
    this.#reading?.abort();
    clearTimeout(this.#retry);
  }

  #connect(): void {
    this.close();
    const reading = new AbortController();
    this.#reading = reading;
    this.#read(reading).catch((error: unknown) => {
      if (reading.signal.aborted && this.#reading !== reading) return; // another one took its place
      const reason = error instanceof Error && reading.signal.aborted ? "it fell silent" : "it cannot be reached";
      this.#lose(`The proxy does not answer: ${reason}.`);
    });
  }

  async #read(reading: AbortController): Promise<void> {
    const search = parametersOf(this.#query);
    const since = this.#told.samples.at(-1)?.at;
    if (since !== undefined) search.set("since", String(since));
    const headers: HeadersInit = this.#token === "" ? {} : { authorization: `Bearer ${this.#token}` };
    const watchdog = new Watchdog(() => reading.abort());
    try {
      const response = await fetch(`/page/stream?${search}`, { headers, signal: reading.signal, cache: "no-store" });
      if (response.status === 401) return this.#askForToken();
      if (!response.ok || response.body === null) return this.#lose((await response.text()).trim());
      const parse = eventParser();
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return this.#lose("The proxy has ended the connection.");
        watchdog.feed();
        if (this.#reading === reading) this.#take(parse(decoder.decode(value, { stream: true })));
      }
    } finally {
      watchdog.stop();
    }
  }

  #take(events: readonly StreamEvent[]): void {
    if (events.length === 0) return;
    this.#retryMs = RETRY_FIRST_MS;
    let next: Told = { ...this.#told, state: "live", problem: "" };
    for (const { name, data } of events) {
      if (name === "history") next = { ...next, samples: joined(next.samples, JSON.parse(data) as PageSample[]) };
      if (name === "view") next = { ...next, view: JSON.parse(data) as PageViewReport };
      if (name === "overview") {
        const overview = JSON.parse(data) as PageOverview;
        next = { ...next, overview, samples: joined(next.samples, [overview.sample]) };
      }
    }
    this.#tell(next);
  }

  #askForToken(): void {
    const problem = this.#token === "" ? "" : "This is not the token of the node.";
    this.#tell({ ...NOTHING_TOLD, state: "token", problem });
  }

  #lose(problem: string): void {
    this.#tell({ ...this.#told, state: "broken", problem });
    this.#retry = window.setTimeout(() => this.#connect(), this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_LAST_MS);
  }

  #tell(told: Told): void {
    this.#told = told;
    this.#onTold(told);
  }
}

/** Calls back when it was not fed for a while. */
class Watchdog {
  readonly #onSilence: () => void;
  #timer: number;

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence;
    this.#timer = window.setTimeout(onSilence, SILENCE_MS);
  }

  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(this.#onSilence, SILENCE_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** Each sample once, and only the last ones. */
function joined(known: readonly PageSample[], more: readonly PageSample[]): readonly PageSample[] {
  const last = known.at(-1)?.at ?? 0;
  const fresh = more.filter(({ at }) => at > last);
  return fresh.length === 0 ? known : [...known, ...fresh].slice(-SAMPLES_MAX);
}
