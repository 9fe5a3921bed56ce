// What is remembered of a probe, as a type. shared/layout/node-metrics.ts says what each field means.

import * as NodeMetricsLayout from "../shared/layout/node-metrics.ts";

@unmanaged
export class ProbeNote {
  nonce: u64;
  sentUs: f64;
  sentMs: u32;
  value: u32;

  static at(address: usize): ProbeNote {
    return changetype<ProbeNote>(address);
  }

  exchangeIfNonce(expected: u64, value: u64): u64 {
    return atomic.cmpxchg<u64>(changetype<usize>(this), expected, value, NodeMetricsLayout.PROBE_NOTE_NONCE);
  }

  loadNonce(): u64 {
    return atomic.load<u64>(changetype<usize>(this), NodeMetricsLayout.PROBE_NOTE_NONCE);
  }

  storeNonce(value: u64): void {
    atomic.store<u64>(changetype<usize>(this), value, NodeMetricsLayout.PROBE_NOTE_NONCE);
  }
}
