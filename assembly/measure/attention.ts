// The attentive clock: milliseconds in which this process could have noticed an answer. It stands still while the
// process is stopped, the machine suspended, or the worker busy elsewhere: a pause of our own proves nothing about others.

import { HEADER_AT, HEADER_ATTENDED_MS, HEADER_ATTENTIVE_MS } from "../shared/layout.ts";

/** Several times what passes between two looks at the nodes. */
const STEP_MAX_MS: u32 = 200;

/** Advances the clock, by the worker that probes; returns its time. Wraps after 49 days, as ages do not mind. */
export function attend(nowMs: u32): u32 {
  const passedMs = nowMs - load<u32>(HEADER_AT, HEADER_ATTENDED_MS);
  store<u32>(HEADER_AT, nowMs, HEADER_ATTENDED_MS);
  const attentive = attentiveMs() + min(passedMs, STEP_MAX_MS);
  atomic.store<u32>(HEADER_AT, attentive, HEADER_ATTENTIVE_MS);
  return attentive;
}

export function attentiveMs(): u32 {
  return atomic.load<u32>(HEADER_AT, HEADER_ATTENTIVE_MS);
}
