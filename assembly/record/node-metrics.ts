// What is measured of the way to a node, as a type. shared/layout/node-metrics.ts says what each field means.

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

  static at(address: usize): NodeMetrics {
    return changetype<NodeMetrics>(address);
  }

  storeToldRevision(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.TOLD_REVISION);
  }

  storeRefused(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.REFUSED);
  }

  exchangeRefused(value: u32): u32 {
    return atomic.xchg<u32>(changetype<usize>(this), value, NodeMetricsLayout.REFUSED);
  }

  storeHint(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.HINT);
  }

  exchangeHint(value: u32): u32 {
    return atomic.xchg<u32>(changetype<usize>(this), value, NodeMetricsLayout.HINT);
  }

  loadDeviceMtu(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeMetricsLayout.DEVICE_MTU);
  }

  storeDeviceMtu(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.DEVICE_MTU);
  }

  exchangeIfAnswered(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, NodeMetricsLayout.ANSWERED);
  }

  loadAnswered(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeMetricsLayout.ANSWERED);
  }

  exchangeIfSizePassed(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, NodeMetricsLayout.SIZE_PASSED);
  }

  loadSizePassed(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeMetricsLayout.SIZE_PASSED);
  }

  storeSizePassed(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, NodeMetricsLayout.SIZE_PASSED);
  }
}
