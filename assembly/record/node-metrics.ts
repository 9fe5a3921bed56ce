// What is measured of the way to a node, as a type. shared/layout/node-metrics.ts says what each field means. The
// compiler holds the fields to their places.

import * as NodeMetricsLayout from "../shared/layout/node-metrics.ts";

@unmanaged
export class NodeMetrics {
  rttUs: u32;
  rttSamples: u32;
  private gap0: u64;
  private gap1: u32;
  takesEcn: u32;
  health: u32;
  mtu: u32;
  whole: u32;
  gsoRefused: u32;
  sinceUs: f64;
  heardUs: f64;
  largeSent: u32;
  refused: u32;
  hint: u32;
  deviceMtu: u32;
  probesSent: u32;
  answered: u32;
  probedMs: u32;
  doubt: u32;
  sizeTrial: u32;
  sizeTries: u32;
  sizeLow: u32;
  sizeHigh: u32;
  sizeGuess: u32;
  sizeWitness: u32;
  sizeTriedMs: u32;
  sizeCheckedMs: u32;
  sizeRaisedMs: u32;
  sizePassed: u32;
  private gap2: v128;
  private gap3: v128;
  private gap4: v128;
  private gap5: v128;
  private gap6: v128;
  private gap7: v128;
  private gap8: v128;
  private gap9: v128;
  private gap10: v128;
  private gap11: v128;
  private gap12: v128;
  private gap13: v128;
  private gap14: v128;
  private gap15: v128;
  private gap16: v128;
  private gap17: v128;
  private gap18: v128;
  private gap19: v128;
  private gap20: v128;
  private gap21: v128;
  private gap22: v128;
  private gap23: v128;
  private gap24: v128;
  private gap25: v128;
  private gap26: v128;
  private gap27: v128;
  private gap28: v128;
  private gap29: v128;
  private gap30: v128;
  private gap31: v128;
  private gap32: v128;
  private gap33: v128;
  private gap34: v128;
  private gap35: v128;
  private gap36: u64;
  sizeNext: u32;
  sizeState: u32;
  sizeHintedMs: u32;
  rttNext: u32;
  private toldRevision: u32;

  @inline
  static at(address: usize): NodeMetrics {
    return changetype<NodeMetrics>(address);
  }

  @inline
  storeToldRevision(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.TOLD_REVISION);
  }

  @inline
  storeRefused(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.REFUSED);
  }

  @inline
  exchangeRefused(value: u32): u32 {
    return atomic.xchg<u32>(changetype<usize>(this), value, NodeMetricsLayout.REFUSED);
  }

  @inline
  storeHint(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.HINT);
  }

  @inline
  exchangeHint(value: u32): u32 {
    return atomic.xchg<u32>(changetype<usize>(this), value, NodeMetricsLayout.HINT);
  }

  @inline
  loadDeviceMtu(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeMetricsLayout.DEVICE_MTU);
  }

  @inline
  storeDeviceMtu(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.DEVICE_MTU);
  }

  @inline
  exchangeIfAnswered(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, NodeMetricsLayout.ANSWERED);
  }

  @inline
  loadAnswered(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeMetricsLayout.ANSWERED);
  }

  @inline
  exchangeIfSizePassed(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, NodeMetricsLayout.SIZE_PASSED);
  }

  @inline
  loadSizePassed(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeMetricsLayout.SIZE_PASSED);
  }

  @inline
  storeSizePassed(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.SIZE_PASSED);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkNodeMetrics(): void {
  if (offsetof<NodeMetrics>("rttUs") != NodeMetricsLayout.RTT_US) ERROR("NodeMetrics.rttUs is misplaced");
  if (offsetof<NodeMetrics>("rttSamples") != NodeMetricsLayout.RTT_SAMPLES)
    ERROR("NodeMetrics.rttSamples is misplaced");
  if (offsetof<NodeMetrics>("takesEcn") != NodeMetricsLayout.TAKES_ECN) ERROR("NodeMetrics.takesEcn is misplaced");
  if (offsetof<NodeMetrics>("health") != NodeMetricsLayout.HEALTH) ERROR("NodeMetrics.health is misplaced");
  if (offsetof<NodeMetrics>("mtu") != NodeMetricsLayout.MTU) ERROR("NodeMetrics.mtu is misplaced");
  if (offsetof<NodeMetrics>("whole") != NodeMetricsLayout.WHOLE) ERROR("NodeMetrics.whole is misplaced");
  if (offsetof<NodeMetrics>("gsoRefused") != NodeMetricsLayout.GSO_REFUSED)
    ERROR("NodeMetrics.gsoRefused is misplaced");
  if (offsetof<NodeMetrics>("sinceUs") != NodeMetricsLayout.SINCE_US) ERROR("NodeMetrics.sinceUs is misplaced");
  if (offsetof<NodeMetrics>("heardUs") != NodeMetricsLayout.HEARD_US) ERROR("NodeMetrics.heardUs is misplaced");
  if (offsetof<NodeMetrics>("largeSent") != NodeMetricsLayout.LARGE_SENT) ERROR("NodeMetrics.largeSent is misplaced");
  if (offsetof<NodeMetrics>("refused") != NodeMetricsLayout.REFUSED) ERROR("NodeMetrics.refused is misplaced");
  if (offsetof<NodeMetrics>("hint") != NodeMetricsLayout.HINT) ERROR("NodeMetrics.hint is misplaced");
  if (offsetof<NodeMetrics>("deviceMtu") != NodeMetricsLayout.DEVICE_MTU) ERROR("NodeMetrics.deviceMtu is misplaced");
  if (offsetof<NodeMetrics>("probesSent") != NodeMetricsLayout.PROBES_SENT)
    ERROR("NodeMetrics.probesSent is misplaced");
  if (offsetof<NodeMetrics>("answered") != NodeMetricsLayout.ANSWERED) ERROR("NodeMetrics.answered is misplaced");
  if (offsetof<NodeMetrics>("probedMs") != NodeMetricsLayout.PROBED_MS) ERROR("NodeMetrics.probedMs is misplaced");
  if (offsetof<NodeMetrics>("doubt") != NodeMetricsLayout.DOUBT) ERROR("NodeMetrics.doubt is misplaced");
  if (offsetof<NodeMetrics>("sizeTrial") != NodeMetricsLayout.SIZE_TRIAL) ERROR("NodeMetrics.sizeTrial is misplaced");
  if (offsetof<NodeMetrics>("sizeTries") != NodeMetricsLayout.SIZE_TRIES) ERROR("NodeMetrics.sizeTries is misplaced");
  if (offsetof<NodeMetrics>("sizeLow") != NodeMetricsLayout.SIZE_LOW) ERROR("NodeMetrics.sizeLow is misplaced");
  if (offsetof<NodeMetrics>("sizeHigh") != NodeMetricsLayout.SIZE_HIGH) ERROR("NodeMetrics.sizeHigh is misplaced");
  if (offsetof<NodeMetrics>("sizeGuess") != NodeMetricsLayout.SIZE_GUESS) ERROR("NodeMetrics.sizeGuess is misplaced");
  if (offsetof<NodeMetrics>("sizeWitness") != NodeMetricsLayout.SIZE_WITNESS)
    ERROR("NodeMetrics.sizeWitness is misplaced");
  if (offsetof<NodeMetrics>("sizeTriedMs") != NodeMetricsLayout.SIZE_TRIED_MS)
    ERROR("NodeMetrics.sizeTriedMs is misplaced");
  if (offsetof<NodeMetrics>("sizeCheckedMs") != NodeMetricsLayout.SIZE_CHECKED_MS)
    ERROR("NodeMetrics.sizeCheckedMs is misplaced");
  if (offsetof<NodeMetrics>("sizeRaisedMs") != NodeMetricsLayout.SIZE_RAISED_MS)
    ERROR("NodeMetrics.sizeRaisedMs is misplaced");
  if (offsetof<NodeMetrics>("sizePassed") != NodeMetricsLayout.SIZE_PASSED)
    ERROR("NodeMetrics.sizePassed is misplaced");
  if (offsetof<NodeMetrics>("sizeNext") != NodeMetricsLayout.SIZE_NEXT) ERROR("NodeMetrics.sizeNext is misplaced");
  if (offsetof<NodeMetrics>("sizeState") != NodeMetricsLayout.SIZE_STATE) ERROR("NodeMetrics.sizeState is misplaced");
  if (offsetof<NodeMetrics>("sizeHintedMs") != NodeMetricsLayout.SIZE_HINTED_MS)
    ERROR("NodeMetrics.sizeHintedMs is misplaced");
  if (offsetof<NodeMetrics>("rttNext") != NodeMetricsLayout.RTT_NEXT) ERROR("NodeMetrics.rttNext is misplaced");
  if (offsetof<NodeMetrics>("toldRevision") != NodeMetricsLayout.TOLD_REVISION)
    ERROR("NodeMetrics.toldRevision is misplaced");
}
