// The attentive clock: milliseconds in which this process could have noticed an answer. It stands still while the
// process is stopped, the machine suspended, or the worker busy elsewhere: a pause of our own proves nothing about
// others.

import * as Header from "../record/header.ts";

/** Somewhat more than what passes between two looks at the nodes (probe.ts, PAUSE_MAX_MS). */
const STEP_MAX_MS: u32 = 600;

/** Advances the clock, by the worker that probes; returns its time. Wraps after 49 days, as ages do not mind. */
export function attend(nowMs: u32): u32 {
  const passedMs = nowMs - Header.attendedMs.value;
  Header.attendedMs.value = nowMs;
  const attentive = attentiveMs() + min(passedMs, STEP_MAX_MS);
  Header.attentiveMs.store(attentive);
  return attentive;
}

export function attentiveMs(): u32 {
  return Header.attentiveMs.load();
}
