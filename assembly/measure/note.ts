// What is remembered of the probes to a node until they are answered: two rings in its metrics
// (shared/layout/node-metrics.ts).

import { sipHash } from "../checksum/siphash.ts";
import * as Header from "../record/header.ts";
import { NodeMetrics, ProbeNote } from "../record/node-metrics.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import * as NodeMetricsLayout from "../shared/layout/node-metrics.ts";

// What a value is hashed for
const FOR_NONCE: u64 = 0;
const FOR_MASK: u64 = 1;

/** The note of the probe with this number. */
export function noteOf(metrics: NodeMetrics, number: u32): ProbeNote {
  return metrics.probe(number % NodeMetricsLayout.PROBE_COUNT);
}

/** The note of the next probe of a size. */
export function nextSizeNote(metrics: NodeMetrics): ProbeNote {
  const next = metrics.sizeNext.value;
  metrics.sizeNext.value = next + 1;
  return metrics.sizeProbe(next % NodeMetricsLayout.SIZE_PROBE_COUNT);
}

/** Fills in a note and returns the probe's nonce. `value` is its number or size. */
export function writeNote(note: ProbeNote, value: u32, nowUs: f64, ms: u32): u64 {
  const nonce = nextNonce();
  note.nonce.store(0); // nobody takes the old probe's answer for the new one's
  note.sentUs = nowUs;
  note.sentMs = ms;
  note.value = value;
  note.nonce.store(nonce);
  return nonce;
}

/** The note of the unanswered probe with this nonce, or null. */
export function findNote(metrics: NodeMetrics, nonce: u64): ProbeNote | null {
  if (nonce == 0) return null;
  for (let i: u32 = 0; i < <u32>NodeMetricsLayout.PROBE_COUNT; i++) {
    const note = noteOf(metrics, i);
    if (note.nonce.load() == nonce) return note;
  }
  for (let i: u32 = 0; i < <u32>NodeMetricsLayout.SIZE_PROBE_COUNT; i++) {
    const note = metrics.sizeProbe(i);
    if (note.nonce.load() == nonce) return note;
  }
  return null;
}

export function isSizeNote(metrics: NodeMetrics, note: ProbeNote): bool {
  return changetype<usize>(note) >= changetype<usize>(metrics.sizeProbe(0));
}

/** How long ago the probe with this number was sent; one that is forgotten is older than all. */
export function probeAgeMs(metrics: NodeMetrics, number: u32, ms: u32): u32 {
  const note = noteOf(metrics, number);
  return note.value == number ? ms - note.sentMs : u32.MAX_VALUE;
}

export function isAnswered(metrics: NodeMetrics, number: u32): bool {
  const note = noteOf(metrics, number);
  return note.value == number && note.nonce.load() == 0;
}

/** A node index, or back: the receiver of a probe learns nothing from it. */
export function maskNode(node: u32, nonce: u64): u32 {
  return node ^ <u32>sipHash(HeaderLayout.AT + HeaderLayout.PROBE_KEY, nonce, FOR_MASK);
}

/** Not to be guessed without the key, which never leaves the process; never 0. */
function nextNonce(): u64 {
  let nonce: u64 = 0;
  while (nonce == 0) {
    const count = Header.probeNonces.add(1);
    nonce = sipHash(HeaderLayout.AT + HeaderLayout.PROBE_KEY, count, FOR_NONCE);
  }
  return nonce;
}
