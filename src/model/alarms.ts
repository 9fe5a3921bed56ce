// How a part of the program tells of a fault, without knowing who hears of it.

import type { EventKind } from "./reports.ts";

export interface NewEvent {
  readonly kind: EventKind;
  readonly subject?: string | undefined;
  readonly message: string; // one sentence
  readonly advice?: string | undefined; // what to do about it
}

export interface Alarms {
  /** Something is wrong. */
  tell(event: NewEvent): void;
  /** What was told about this subject is over; `message` says how it is now. */
  end(subject: string, message: string): void;
}
