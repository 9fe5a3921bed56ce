// What is measured of the way to a node, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  NODE_ANSWERED,
  NODE_DEVICE_MTU,
  NODE_DOUBT,
  NODE_GSO_REFUSED,
  NODE_HEALTH,
  NODE_HEARD_US,
  NODE_HINT,
  NODE_LARGE_SENT,
  NODE_MTU,
  NODE_PROBED_MS,
  NODE_PROBES_SENT,
  NODE_REFUSED,
  NODE_RTT_NEXT,
  NODE_RTT_SAMPLES,
  NODE_RTT_US,
  NODE_SINCE_US,
  NODE_SIZE_CHECKED_MS,
  NODE_SIZE_GUESS,
  NODE_SIZE_HIGH,
  NODE_SIZE_HINTED_MS,
  NODE_SIZE_LOW,
  NODE_SIZE_NEXT,
  NODE_SIZE_PASSED,
  NODE_SIZE_RAISED_MS,
  NODE_SIZE_STATE,
  NODE_SIZE_TRIAL,
  NODE_SIZE_TRIED_MS,
  NODE_SIZE_TRIES,
  NODE_SIZE_WITNESS,
  NODE_TAKES_ECN,
  NODE_WHOLE,
} from "../shared/layout.ts";

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

  @inline
  static at(address: usize): NodeMetrics {
    return changetype<NodeMetrics>(address);
  }

  @inline
  storeRefused(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NODE_REFUSED);
  }

  @inline
  exchangeRefused(value: u32): u32 {
    return atomic.xchg<u32>(changetype<usize>(this), value, NODE_REFUSED);
  }

  @inline
  storeHint(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NODE_HINT);
  }

  @inline
  exchangeHint(value: u32): u32 {
    return atomic.xchg<u32>(changetype<usize>(this), value, NODE_HINT);
  }

  @inline
  loadDeviceMtu(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NODE_DEVICE_MTU);
  }

  @inline
  storeDeviceMtu(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NODE_DEVICE_MTU);
  }

  @inline
  exchangeIfAnswered(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, NODE_ANSWERED);
  }

  @inline
  loadAnswered(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NODE_ANSWERED);
  }

  @inline
  exchangeIfSizePassed(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, NODE_SIZE_PASSED);
  }

  @inline
  loadSizePassed(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NODE_SIZE_PASSED);
  }

  @inline
  storeSizePassed(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NODE_SIZE_PASSED);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkNodeMetrics(): void {
  if (offsetof<NodeMetrics>("rttUs") != NODE_RTT_US) ERROR("NodeMetrics.rttUs is not at NODE_RTT_US");
  if (offsetof<NodeMetrics>("rttSamples") != NODE_RTT_SAMPLES)
    ERROR("NodeMetrics.rttSamples is not at NODE_RTT_SAMPLES");
  if (offsetof<NodeMetrics>("takesEcn") != NODE_TAKES_ECN) ERROR("NodeMetrics.takesEcn is not at NODE_TAKES_ECN");
  if (offsetof<NodeMetrics>("health") != NODE_HEALTH) ERROR("NodeMetrics.health is not at NODE_HEALTH");
  if (offsetof<NodeMetrics>("mtu") != NODE_MTU) ERROR("NodeMetrics.mtu is not at NODE_MTU");
  if (offsetof<NodeMetrics>("whole") != NODE_WHOLE) ERROR("NodeMetrics.whole is not at NODE_WHOLE");
  if (offsetof<NodeMetrics>("gsoRefused") != NODE_GSO_REFUSED)
    ERROR("NodeMetrics.gsoRefused is not at NODE_GSO_REFUSED");
  if (offsetof<NodeMetrics>("sinceUs") != NODE_SINCE_US) ERROR("NodeMetrics.sinceUs is not at NODE_SINCE_US");
  if (offsetof<NodeMetrics>("heardUs") != NODE_HEARD_US) ERROR("NodeMetrics.heardUs is not at NODE_HEARD_US");
  if (offsetof<NodeMetrics>("largeSent") != NODE_LARGE_SENT) ERROR("NodeMetrics.largeSent is not at NODE_LARGE_SENT");
  if (offsetof<NodeMetrics>("refused") != NODE_REFUSED) ERROR("NodeMetrics.refused is not at NODE_REFUSED");
  if (offsetof<NodeMetrics>("hint") != NODE_HINT) ERROR("NodeMetrics.hint is not at NODE_HINT");
  if (offsetof<NodeMetrics>("deviceMtu") != NODE_DEVICE_MTU) ERROR("NodeMetrics.deviceMtu is not at NODE_DEVICE_MTU");
  if (offsetof<NodeMetrics>("probesSent") != NODE_PROBES_SENT)
    ERROR("NodeMetrics.probesSent is not at NODE_PROBES_SENT");
  if (offsetof<NodeMetrics>("answered") != NODE_ANSWERED) ERROR("NodeMetrics.answered is not at NODE_ANSWERED");
  if (offsetof<NodeMetrics>("probedMs") != NODE_PROBED_MS) ERROR("NodeMetrics.probedMs is not at NODE_PROBED_MS");
  if (offsetof<NodeMetrics>("doubt") != NODE_DOUBT) ERROR("NodeMetrics.doubt is not at NODE_DOUBT");
  if (offsetof<NodeMetrics>("sizeTrial") != NODE_SIZE_TRIAL) ERROR("NodeMetrics.sizeTrial is not at NODE_SIZE_TRIAL");
  if (offsetof<NodeMetrics>("sizeTries") != NODE_SIZE_TRIES) ERROR("NodeMetrics.sizeTries is not at NODE_SIZE_TRIES");
  if (offsetof<NodeMetrics>("sizeLow") != NODE_SIZE_LOW) ERROR("NodeMetrics.sizeLow is not at NODE_SIZE_LOW");
  if (offsetof<NodeMetrics>("sizeHigh") != NODE_SIZE_HIGH) ERROR("NodeMetrics.sizeHigh is not at NODE_SIZE_HIGH");
  if (offsetof<NodeMetrics>("sizeGuess") != NODE_SIZE_GUESS) ERROR("NodeMetrics.sizeGuess is not at NODE_SIZE_GUESS");
  if (offsetof<NodeMetrics>("sizeWitness") != NODE_SIZE_WITNESS)
    ERROR("NodeMetrics.sizeWitness is not at NODE_SIZE_WITNESS");
  if (offsetof<NodeMetrics>("sizeTriedMs") != NODE_SIZE_TRIED_MS)
    ERROR("NodeMetrics.sizeTriedMs is not at NODE_SIZE_TRIED_MS");
  if (offsetof<NodeMetrics>("sizeCheckedMs") != NODE_SIZE_CHECKED_MS)
    ERROR("NodeMetrics.sizeCheckedMs is not at NODE_SIZE_CHECKED_MS");
  if (offsetof<NodeMetrics>("sizeRaisedMs") != NODE_SIZE_RAISED_MS)
    ERROR("NodeMetrics.sizeRaisedMs is not at NODE_SIZE_RAISED_MS");
  if (offsetof<NodeMetrics>("sizePassed") != NODE_SIZE_PASSED)
    ERROR("NodeMetrics.sizePassed is not at NODE_SIZE_PASSED");
  if (offsetof<NodeMetrics>("sizeNext") != NODE_SIZE_NEXT) ERROR("NodeMetrics.sizeNext is not at NODE_SIZE_NEXT");
  if (offsetof<NodeMetrics>("sizeState") != NODE_SIZE_STATE) ERROR("NodeMetrics.sizeState is not at NODE_SIZE_STATE");
  if (offsetof<NodeMetrics>("sizeHintedMs") != NODE_SIZE_HINTED_MS)
    ERROR("NodeMetrics.sizeHintedMs is not at NODE_SIZE_HINTED_MS");
  if (offsetof<NodeMetrics>("rttNext") != NODE_RTT_NEXT) ERROR("NodeMetrics.rttNext is not at NODE_RTT_NEXT");
}
