// The header of the memory, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  HEADER_ADDRESS_MASK,
  HEADER_ANSWERS,
  HEADER_AT,
  HEADER_ATTENDED_MS,
  HEADER_ATTENTIVE_MS,
  HEADER_CLIENT_COUNT,
  HEADER_FLOW_BUCKET_MASK,
  HEADER_FLOW_COUNT,
  HEADER_FLOW_FREE,
  HEADER_FLOW_LIMIT,
  HEADER_FLOW_NEXT,
  HEADER_GENERATION,
  HEADER_GSO_TRIAL,
  HEADER_HEALTH_EPOCH,
  HEADER_LAYOUT_VERSION,
  HEADER_METRICS_EPOCH,
  HEADER_NODE_COUNT,
  HEADER_OFFLOADS,
  HEADER_OUTER_CLASS,
  HEADER_OWN_ADDRESS_COUNT,
  HEADER_PARK_BYTES,
  HEADER_PARK_MS,
  HEADER_PARK_PACKETS,
  HEADER_PROBE_INTERVAL_MS,
  HEADER_PROBE_NONCES,
  HEADER_RANGE_COUNT,
  HEADER_RANGES,
  HEADER_REFUSAL_COUNT,
  HEADER_REGIONS,
  HEADER_REPAIR,
  HEADER_SENDER_MASK,
  HEADER_TIMEOUTS_MS,
  HEADER_TUN_MTU,
  HEADER_WORKER_COUNT,
  HEADER_WORKLOAD_MASK,
} from "../shared/layout.ts";

@unmanaged
export class Header {
  layoutVersion: u32;
  generation: u32;
  workerCount: u32;
  private gapA: u32;
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
  private gap0: u32;
  private gap1: u64;
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
  private gap17: u32;
  private gap18: u64;
  private gap19: v128;
  private gap20: v128;
  private gap21: v128;
  private gap22: v128;
  private gap23: v128;
  private gap24: v128;
  private gap25: v128;
  private gap26: v128;
  private gap27: v128;
  ranges: v128;

  @inline
  static at(address: usize): Header {
    return changetype<Header>(address);
  }

  @inline
  loadGeneration(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HEADER_GENERATION);
  }

  @inline
  addMetricsEpoch(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HEADER_METRICS_EPOCH);
  }

  @inline
  addFlowCount(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HEADER_FLOW_COUNT);
  }

  @inline
  subtractFlowCount(value: u32): u32 {
    return atomic.sub<u32>(changetype<usize>(this), value, HEADER_FLOW_COUNT);
  }

  @inline
  addFlowNext(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HEADER_FLOW_NEXT);
  }

  @inline
  loadFlowNext(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HEADER_FLOW_NEXT);
  }

  @inline
  exchangeIfFlowFree(expected: u64, value: u64): u64 {
    return atomic.cmpxchg<u64>(changetype<usize>(this), expected, value, HEADER_FLOW_FREE);
  }

  @inline
  loadFlowFree(): u64 {
    return atomic.load<u64>(changetype<usize>(this), HEADER_FLOW_FREE);
  }

  @inline
  addProbeNonces(value: u64): u64 {
    return atomic.add<u64>(changetype<usize>(this), value, HEADER_PROBE_NONCES);
  }

  @inline
  loadAttentiveMs(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HEADER_ATTENTIVE_MS);
  }

  @inline
  storeAttentiveMs(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, HEADER_ATTENTIVE_MS);
  }

  @inline
  addHealthEpoch(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HEADER_HEALTH_EPOCH);
  }

  @inline
  loadHealthEpoch(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HEADER_HEALTH_EPOCH);
  }

  @inline
  loadRefusalCount(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HEADER_REFUSAL_COUNT);
  }

  @inline
  addClientCount(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HEADER_CLIENT_COUNT);
  }

  @inline
  loadClientCount(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HEADER_CLIENT_COUNT);
  }

  @inline
  subtractClientCount(value: u32): u32 {
    return atomic.sub<u32>(changetype<usize>(this), value, HEADER_CLIENT_COUNT);
  }

  @inline
  loadOwnAddressCount(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HEADER_OWN_ADDRESS_COUNT);
  }

  @inline
  loadRepair(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HEADER_REPAIR);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkHeader(): void {
  if (offsetof<Header>("layoutVersion") != HEADER_LAYOUT_VERSION)
    ERROR("Header.layoutVersion is not at HEADER_LAYOUT_VERSION");
  if (offsetof<Header>("generation") != HEADER_GENERATION) ERROR("Header.generation is not at HEADER_GENERATION");
  if (offsetof<Header>("workerCount") != HEADER_WORKER_COUNT) ERROR("Header.workerCount is not at HEADER_WORKER_COUNT");
  if (offsetof<Header>("flowLimit") != HEADER_FLOW_LIMIT) ERROR("Header.flowLimit is not at HEADER_FLOW_LIMIT");
  if (offsetof<Header>("flowBucketMask") != HEADER_FLOW_BUCKET_MASK)
    ERROR("Header.flowBucketMask is not at HEADER_FLOW_BUCKET_MASK");
  if (offsetof<Header>("addressMask") != HEADER_ADDRESS_MASK) ERROR("Header.addressMask is not at HEADER_ADDRESS_MASK");
  if (offsetof<Header>("workloadMask") != HEADER_WORKLOAD_MASK)
    ERROR("Header.workloadMask is not at HEADER_WORKLOAD_MASK");
  if (offsetof<Header>("rangeCount") != HEADER_RANGE_COUNT) ERROR("Header.rangeCount is not at HEADER_RANGE_COUNT");
  if (offsetof<Header>("nodeCount") != HEADER_NODE_COUNT) ERROR("Header.nodeCount is not at HEADER_NODE_COUNT");
  if (offsetof<Header>("metricsEpoch") != HEADER_METRICS_EPOCH)
    ERROR("Header.metricsEpoch is not at HEADER_METRICS_EPOCH");
  if (offsetof<Header>("flowCount") != HEADER_FLOW_COUNT) ERROR("Header.flowCount is not at HEADER_FLOW_COUNT");
  if (offsetof<Header>("flowNext") != HEADER_FLOW_NEXT) ERROR("Header.flowNext is not at HEADER_FLOW_NEXT");
  if (offsetof<Header>("probeIntervalMs") != HEADER_PROBE_INTERVAL_MS)
    ERROR("Header.probeIntervalMs is not at HEADER_PROBE_INTERVAL_MS");
  if (offsetof<Header>("flowFree") != HEADER_FLOW_FREE) ERROR("Header.flowFree is not at HEADER_FLOW_FREE");
  if (offsetof<Header>("offloads") != HEADER_OFFLOADS) ERROR("Header.offloads is not at HEADER_OFFLOADS");
  if (offsetof<Header>("tunMtu") != HEADER_TUN_MTU) ERROR("Header.tunMtu is not at HEADER_TUN_MTU");
  if (offsetof<Header>("answers") != HEADER_ANSWERS) ERROR("Header.answers is not at HEADER_ANSWERS");
  if (offsetof<Header>("outerClass") != HEADER_OUTER_CLASS) ERROR("Header.outerClass is not at HEADER_OUTER_CLASS");
  if (offsetof<Header>("gsoTrial") != HEADER_GSO_TRIAL) ERROR("Header.gsoTrial is not at HEADER_GSO_TRIAL");
  if (offsetof<Header>("parkMs") != HEADER_PARK_MS) ERROR("Header.parkMs is not at HEADER_PARK_MS");
  if (offsetof<Header>("parkPackets") != HEADER_PARK_PACKETS) ERROR("Header.parkPackets is not at HEADER_PARK_PACKETS");
  if (offsetof<Header>("parkBytes") != HEADER_PARK_BYTES) ERROR("Header.parkBytes is not at HEADER_PARK_BYTES");
  if (offsetof<Header>("refusalCount") != HEADER_REFUSAL_COUNT)
    ERROR("Header.refusalCount is not at HEADER_REFUSAL_COUNT");
  if (offsetof<Header>("senderMask") != HEADER_SENDER_MASK) ERROR("Header.senderMask is not at HEADER_SENDER_MASK");
  if (offsetof<Header>("clientCount") != HEADER_CLIENT_COUNT) ERROR("Header.clientCount is not at HEADER_CLIENT_COUNT");
  if (offsetof<Header>("repair") != HEADER_REPAIR) ERROR("Header.repair is not at HEADER_REPAIR");
  if (offsetof<Header>("ownAddressCount") != HEADER_OWN_ADDRESS_COUNT)
    ERROR("Header.ownAddressCount is not at HEADER_OWN_ADDRESS_COUNT");
  if (offsetof<Header>("regions") != HEADER_REGIONS) ERROR("Header.regions is not at HEADER_REGIONS");
  if (offsetof<Header>("timeoutsMs") != HEADER_TIMEOUTS_MS) ERROR("Header.timeoutsMs is not at HEADER_TIMEOUTS_MS");
  if (offsetof<Header>("probeNonces") != HEADER_PROBE_NONCES) ERROR("Header.probeNonces is not at HEADER_PROBE_NONCES");
  if (offsetof<Header>("attentiveMs") != HEADER_ATTENTIVE_MS) ERROR("Header.attentiveMs is not at HEADER_ATTENTIVE_MS");
  if (offsetof<Header>("attendedMs") != HEADER_ATTENDED_MS) ERROR("Header.attendedMs is not at HEADER_ATTENDED_MS");
  if (offsetof<Header>("healthEpoch") != HEADER_HEALTH_EPOCH) ERROR("Header.healthEpoch is not at HEADER_HEALTH_EPOCH");
  if (offsetof<Header>("ranges") != HEADER_RANGES) ERROR("Header.ranges is not at HEADER_RANGES");
}

/** The one of this memory. */
export const HEADER: Header = changetype<Header>(HEADER_AT);
