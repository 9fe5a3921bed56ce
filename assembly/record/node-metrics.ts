// What is measured of the way to a node, as a type. What the host needs, too, is described in
// shared/layout/node-metrics.ts.

import * as NodeMetricsLayout from "../shared/layout/node-metrics.ts";
import { Cell } from "./cell.ts";

@unmanaged
export class NodeMetrics {
  rttUs: u32;
  private gap0: u32;
  private gap1: u64;
  private gap2: u32;
  takesEcn: u32; // 1 = its last answer says that it takes over the outer ECN (ProbeLayout.TAKES_ECN)
  health: u32;
  mtu: u32;
  whole: u32; // larger datagrams may be sent in fragments, 0 = none; not above `mtu`
  gsoRefused: u32;
  sinceUs: f64;
  heardUs: f64;
  largeSent: u32; // 1 = a large datagram was sent since the path's size was last looked at
  private gap3: u32;
  private gap4: u64;
  probesSent: u32;
  private gap5: u32;
  probedMs: u32;
  doubt: u32; // number of the first probe after a refusal, 0 = the node is not in doubt
  sizeTrial: u32; // the size that is being tried, 0 = none
  sizeTries: u32; // probes of that size sent
  sizeLow: u32; // largest size that passes
  sizeHigh: u32; // smallest size that does not
  sizeGuess: u32; // the hint of this search, 0 = none
  sizeWitness: u32; // number of a probe sent after the last try: its answer comes after the try's
  sizeTriedMs: u32; // the last try
  sizeCheckedMs: u32; // end of the last search
  sizeRaisedMs: u32; // when larger sizes than `mtu` were last tried

  static at(address: usize): NodeMetrics {
    return changetype<NodeMetrics>(address);
  }

  /** A sample of the ring, from 0. */
  rttSample(index: u32): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.RTT_SAMPLES + (index << 2));
  }

  /** A note of the ring of numbered probes, from 0. */
  probe(index: u32): ProbeNote {
    return ProbeNote.at(changetype<usize>(this) + NodeMetricsLayout.PROBES + index * NodeMetricsLayout.PROBE_NOTE_SIZE);
  }

  /** Likewise of probes of sizes. */
  sizeProbe(index: u32): ProbeNote {
    const at = changetype<usize>(this) + NodeMetricsLayout.SIZE_PROBES;
    return ProbeNote.at(at + index * NodeMetricsLayout.PROBE_NOTE_SIZE);
  }

  get refused(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.REFUSED);
  }

  get hint(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.HINT);
  }

  get deviceMtu(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.DEVICE_MTU);
  }

  get answered(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.ANSWERED);
  }

  get sizePassed(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.SIZE_PASSED);
  }

  get sizeNext(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.SIZE_NEXT);
  }

  get sizeState(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.SIZE_STATE);
  }

  get sizeHintedMs(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.SIZE_HINTED_MS);
  }

  get rttNext(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.RTT_NEXT);
  }

  get toldRevision(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + NodeMetricsLayout.TOLD_REVISION);
  }
}

/** What is remembered of a probe. */
@unmanaged
export class ProbeNote {
  private gap0: u64;
  sentUs: f64;
  sentMs: u32;
  value: u32;

  static at(address: usize): ProbeNote {
    return changetype<ProbeNote>(address);
  }

  get nonce(): Cell<u64> {
    return changetype<Cell<u64>>(changetype<usize>(this) + NodeMetricsLayout.PROBE_NOTE_NONCE);
  }
}
