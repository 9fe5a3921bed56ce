// What is remembered of a probe, as a type. shared/layout/node-metrics.ts says what each field means. The compiler
// holds the fields to their places.

import * as NodeMetricsLayout from "../shared/layout/node-metrics.ts";

@unmanaged
export class ProbeNote {
  nonce: u64;
  sentUs: f64;
  sentMs: u32;
  value: u32;

  @inline
  static at(address: usize): ProbeNote {
    return changetype<ProbeNote>(address);
  }

  @inline
  exchangeIfNonce(expected: u64, value: u64): u64 {
    return atomic.cmpxchg<u64>(changetype<usize>(this), expected, value, NodeMetricsLayout.PROBE_NOTE_NONCE);
  }

  @inline
  loadNonce(): u64 {
    return atomic.load<u64>(changetype<usize>(this), NodeMetricsLayout.PROBE_NOTE_NONCE);
  }

  @inline
  storeNonce(value: u64): void {
    atomic.store<u64>(changetype<usize>(this), value, NodeMetricsLayout.PROBE_NOTE_NONCE);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkProbeNote(): void {
  if (offsetof<ProbeNote>("nonce") != NodeMetricsLayout.PROBE_NOTE_NONCE) ERROR("ProbeNote.nonce is misplaced");
  if (offsetof<ProbeNote>("sentUs") != NodeMetricsLayout.PROBE_NOTE_SENT_US) ERROR("ProbeNote.sentUs is misplaced");
  if (offsetof<ProbeNote>("sentMs") != NodeMetricsLayout.PROBE_NOTE_SENT_MS) ERROR("ProbeNote.sentMs is misplaced");
  if (offsetof<ProbeNote>("value") != NodeMetricsLayout.PROBE_NOTE_VALUE) ERROR("ProbeNote.value is misplaced");
}
