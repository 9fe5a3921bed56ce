// Tells of a fault where people and programs look: as an event with what to do about it, and in the log. Promises: of a
// fault that comes again and again, both have a bounded number a minute.

import type { Logger } from "../../base/log.ts";
import type { Alarms, NewEvent } from "../../model/alarms.ts";
import type { EventLog } from "./event-log.ts";

export class EventAlarms implements Alarms {
  readonly #events: EventLog;
  readonly #log: Logger;

  constructor(events: EventLog, log: Logger) {
    this.#events = events;
    this.#log = log;
  }

  tell(event: NewEvent): void {
    const { kind, subject, message, advice } = event;
    if (this.#events.add(event)) this.#log.error({ event: kind, subject, advice }, message);
  }

  end(subject: string, message: string): void {
    const kind = "recovered";
    if (this.#events.add({ kind, subject, message })) this.#log.info({ event: kind, subject }, message);
  }
}
