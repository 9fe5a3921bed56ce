// What happened to a proxy, newest last: a bounded ring that people look at and programs follow. Promises: the same
// thing about the same subject is told a bounded number of times a minute, and how often it was not told is told with
// the next one.

import { SapwoodError } from "../../base/errors.ts";
import type { NewEvent } from "../../model/alarms.ts";
import type { EventReport } from "../../model/reports.ts";

interface EventLogOptions {
  readonly clock: () => Date;
  readonly nowMs: () => number; // monotonic
  readonly capacity?: number;
}

const CAPACITY = 1000;
const SAME_PER_MINUTE = 5;
const MINUTE_MS = 60_000;
const FOLLOWERS_MAX = 32;

interface Repetition {
  timesMs: number[]; // within the last minute
  untold: number;
}

export class EventLog {
  readonly #options: EventLogOptions;
  readonly #events: EventReport[] = [];
  readonly #followers = new Set<(event: EventReport) => void>();
  readonly #repetitions = new Map<string, Repetition>(); // by kind and subject
  #lastId = 0;

  constructor(options: EventLogOptions) {
    this.#options = options;
  }

  /** False when it was left out, because too many came. */
  add({ kind, subject, message, advice }: NewEvent): boolean {
    const repetition = this.#repetitionOf(`${kind} ${subject ?? ""}`);
    if (repetition.timesMs.length >= SAME_PER_MINUTE) {
      repetition.untold += 1;
      return false;
    }
    repetition.timesMs.push(this.#options.nowMs());
    const event: EventReport = {
      id: ++this.#lastId,
      at: this.#options.clock().toISOString(),
      kind,
      subject: subject ?? null,
      message,
      advice: advice ?? null,
      untold: repetition.untold,
    };
    repetition.untold = 0;
    this.#events.push(event);
    if (this.#events.length > (this.#options.capacity ?? CAPACITY)) this.#events.shift();
    for (const follower of this.#followers) follower(event);
    return true;
  }

  /** Those in the ring, the oldest first. */
  all(): readonly EventReport[] {
    return [...this.#events];
  }

  /** Throws capacity-exceeded when as many follow as may. */
  expectRoom(): void {
    if (this.#followers.size < FOLLOWERS_MAX) return;
    throw new SapwoodError("capacity-exceeded", `At most ${FOLLOWERS_MAX} clients may follow the events; so many do.`);
  }

  /** The follower is told of each event from now on, until the returned function is called. */
  follow(follower: (event: EventReport) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Forgets what is older than a minute, so that subjects that come and go do not pile up. */
  #repetitionOf(key: string): Repetition {
    const sinceMs = this.#options.nowMs() - MINUTE_MS;
    for (const [known, { timesMs, untold }] of this.#repetitions) {
      const recent = timesMs.filter((ms) => ms > sinceMs);
      if (recent.length === 0 && untold === 0) this.#repetitions.delete(known);
      else this.#repetitions.set(known, { timesMs: recent, untold });
    }
    const found = this.#repetitions.get(key) ?? { timesMs: [], untold: 0 };
    this.#repetitions.set(key, found);
    return found;
  }
}
