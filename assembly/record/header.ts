// The header of the memory, as a type. shared/layout/header.ts says what each field means.

import * as HeaderLayout from "../shared/layout/header.ts";

@unmanaged
export class Header {
  layoutVersion: u32;
  generation: u32;
  workerCount: u32;
  outlierFailures: u32;
  flowLimit: u32;
  flowBucketMask: u32;
  addressMask: u32;
  workloadMask: u32;
  rangeCount: u32;
  nodeCount: u32;
  metricsEpoch: u32;
  flowCount: u32;
  flowNext: u32;
  probeIntervalMs: u32;
  flowFree: u64;
  offloads: u32;
  tunMtu: u32;
  answers: u32;
  outerClass: u32;
  gsoTrial: u32;
  parkMs: u32;
  parkPackets: u32;
  parkBytes: u32;
  refusalCount: u32;
  senderMask: u32;
  clientCount: u32;
  repair: u32;
  ownAddressCount: u32;
  unboundEndMs: u32;
  flowRoom: u32;
  private gap1: u32;
  regions: u32;
  private gap2: u32;
  private gap3: u64;
  private gap4: v128;
  private gap5: v128;
  private gap6: v128;
  private gap7: v128;
  private gap8: v128;
  private gap9: v128;
  private gap10: v128;
  timeoutsMs: u32;
  private gap11: u32;
  private gap12: u64;
  private gap13: v128;
  private gap14: v128;
  private gap15: v128;
  private gap16: v128;
  probeNonces: u64;
  attentiveMs: u32;
  attendedMs: u32;
  healthEpoch: u32;
  probePauseMs: u32;
  private outlierEpoch: u32;
  private outlierUntilMs: u32;
  outlierPauseMs: u32;
  outlierUnansweredMs: u32;
  private gap17: u64;
  private gap19: v128;
  private gap20: v128;
  private gap21: v128;
  private gap22: v128;
  private gap23: v128;
  private gap24: v128;
  private gap25: v128;
  private gap26: v128;
  ranges: v128;

  static at(address: usize): Header {
    return changetype<Header>(address);
  }

  loadGeneration(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.GENERATION);
  }

  addMetricsEpoch(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HeaderLayout.METRICS_EPOCH);
  }

  addFlowCount(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HeaderLayout.FLOW_COUNT);
  }

  subtractFlowCount(value: u32): u32 {
    return atomic.sub<u32>(changetype<usize>(this), value, HeaderLayout.FLOW_COUNT);
  }

  exchangeIfFlowNext(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, HeaderLayout.FLOW_NEXT);
  }

  loadFlowRoom(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.FLOW_ROOM);
  }

  /** Wakes whoever makes room for more. */
  notifyFlowRoom(): void {
    atomic.notify(changetype<usize>(this) + HeaderLayout.FLOW_ROOM, i32.MAX_VALUE);
  }

  loadFlowNext(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.FLOW_NEXT);
  }

  exchangeIfFlowFree(expected: u64, value: u64): u64 {
    return atomic.cmpxchg<u64>(changetype<usize>(this), expected, value, HeaderLayout.FLOW_FREE);
  }

  loadFlowFree(): u64 {
    return atomic.load<u64>(changetype<usize>(this), HeaderLayout.FLOW_FREE);
  }

  addProbeNonces(value: u64): u64 {
    return atomic.add<u64>(changetype<usize>(this), value, HeaderLayout.PROBE_NONCES);
  }

  loadAttentiveMs(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.ATTENTIVE_MS);
  }

  storeAttentiveMs(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, HeaderLayout.ATTENTIVE_MS);
  }

  addOutlierEpoch(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HeaderLayout.OUTLIER_EPOCH);
  }

  /** Wakes whoever tells of the instances. */
  notifyOutlierEpoch(): void {
    atomic.notify(changetype<usize>(this) + HeaderLayout.OUTLIER_EPOCH, i32.MAX_VALUE);
  }

  loadOutlierUntilMs(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.OUTLIER_UNTIL_MS);
  }

  storeOutlierUntilMs(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, HeaderLayout.OUTLIER_UNTIL_MS);
  }

  exchangeIfOutlierUntilMs(expected: u32, value: u32): u32 {
    return atomic.cmpxchg<u32>(changetype<usize>(this), expected, value, HeaderLayout.OUTLIER_UNTIL_MS);
  }

  addHealthEpoch(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HeaderLayout.HEALTH_EPOCH);
  }

  loadHealthEpoch(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.HEALTH_EPOCH);
  }

  /** Wakes whoever waits for a change. */
  notifyHealthEpoch(): void {
    atomic.notify(changetype<usize>(this) + HeaderLayout.HEALTH_EPOCH, i32.MAX_VALUE);
  }

  storeProbePauseMs(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, HeaderLayout.PROBE_PAUSE_MS);
  }

  /** Unless somebody wants it shorter. */
  shortenProbePause(value: u32): void {
    const known = atomic.load<u32>(changetype<usize>(this), HeaderLayout.PROBE_PAUSE_MS);
    if (value < known) atomic.cmpxchg<u32>(changetype<usize>(this), known, value, HeaderLayout.PROBE_PAUSE_MS);
  }

  loadRefusalCount(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.REFUSAL_COUNT);
  }

  addClientCount(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HeaderLayout.CLIENT_COUNT);
  }

  loadClientCount(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.CLIENT_COUNT);
  }

  subtractClientCount(value: u32): u32 {
    return atomic.sub<u32>(changetype<usize>(this), value, HeaderLayout.CLIENT_COUNT);
  }

  loadOwnAddressCount(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.OWN_ADDRESS_COUNT);
  }

  loadRepair(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HeaderLayout.REPAIR);
  }
}

/** The one of this memory. */
export const HEADER: Header = changetype<Header>(HeaderLayout.AT);
