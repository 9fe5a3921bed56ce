// What is remembered of a probe, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { PROBE_NOTE_NONCE, PROBE_NOTE_SENT_MS, PROBE_NOTE_SENT_US, PROBE_NOTE_VALUE } from "../shared/layout.ts";

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
    return atomic.cmpxchg<u64>(changetype<usize>(this), expected, value, PROBE_NOTE_NONCE);
  }

  @inline
  loadNonce(): u64 {
    return atomic.load<u64>(changetype<usize>(this), PROBE_NOTE_NONCE);
  }

  @inline
  storeNonce(value: u64): void {
    atomic.store<u64>(changetype<usize>(this), value, PROBE_NOTE_NONCE);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkProbeNote(): void {
  if (offsetof<ProbeNote>("nonce") != PROBE_NOTE_NONCE) ERROR("ProbeNote.nonce is not at PROBE_NOTE_NONCE");
  if (offsetof<ProbeNote>("sentUs") != PROBE_NOTE_SENT_US) ERROR("ProbeNote.sentUs is not at PROBE_NOTE_SENT_US");
  if (offsetof<ProbeNote>("sentMs") != PROBE_NOTE_SENT_MS) ERROR("ProbeNote.sentMs is not at PROBE_NOTE_SENT_MS");
  if (offsetof<ProbeNote>("value") != PROBE_NOTE_VALUE) ERROR("ProbeNote.value is not at PROBE_NOTE_VALUE");
}
