// The record by which a policy module sees a candidate, written from values (assembly/shared/policies.ts).

import * as Policy from "../../../assembly/shared/policies.ts";
import type { Family } from "../../net/address.ts";

export interface PolicyCandidate {
  readonly instance: number; // its number
  readonly weight: number;
  readonly flows: number;
  readonly rttUs: number; // 0 = not measured
  readonly distanceKm: number; // NaN = unknown
  readonly isLocal: boolean;
  readonly isDraining: boolean;
  readonly isHealthy: boolean;
  readonly hasIpv4: boolean; // a namespace address of that family
  readonly hasIpv6: boolean;
  readonly isOwnFamily: boolean; // has the family in which the service is called
}

/** A candidate of which nothing else is known. */
export const PLAIN_CANDIDATE: Omit<PolicyCandidate, "instance"> = {
  weight: 1,
  flows: 0,
  rttUs: 0,
  distanceKm: Number.NaN,
  isLocal: false,
  isDraining: false,
  isHealthy: true,
  hasIpv4: true,
  hasIpv6: true,
  isOwnFamily: true,
};

/** What a candidate with these families is to a service that is called in `called`. */
export function ofFamilies(
  families: readonly Family[],
  called: Family,
): Pick<PolicyCandidate, "hasIpv4" | "hasIpv6" | "isOwnFamily"> {
  return { hasIpv4: families.includes(4), hasIpv6: families.includes(6), isOwnFamily: families.includes(called) };
}

/** May it take new flows? */
export function isEligible({ isDraining, isHealthy }: PolicyCandidate): boolean {
  return isHealthy && !isDraining;
}

export function writeCandidate(records: DataView, at: number, candidate: PolicyCandidate): void {
  const flags =
    (candidate.isDraining ? Policy.RECORD_DRAINING : 0) |
    (candidate.isLocal ? Policy.RECORD_LOCAL : 0) |
    (candidate.isHealthy ? Policy.RECORD_HEALTHY : 0) |
    (candidate.hasIpv4 ? Policy.RECORD_IPV4 : 0) |
    (candidate.hasIpv6 ? Policy.RECORD_IPV6 : 0) |
    (candidate.isOwnFamily ? Policy.RECORD_OWN_FAMILY : 0);
  const { instance, weight, flows, rttUs, distanceKm } = candidate;
  writeRecord(records, at, instance, weight, flows, rttUs, distanceKm, flags);
}

/** The candidate that a record describes. */
export function readCandidate(records: DataView, at: number): PolicyCandidate {
  const flags = records.getUint32(at + Policy.RECORD_FLAGS, true);
  const has = (flag: number): boolean => (flags & flag) !== 0;
  return {
    instance: records.getUint32(at + Policy.RECORD_INSTANCE, true),
    weight: records.getUint32(at + Policy.RECORD_WEIGHT, true),
    flows: records.getUint32(at + Policy.RECORD_FLOWS, true),
    rttUs: records.getUint32(at + Policy.RECORD_RTT_US, true),
    distanceKm: records.getFloat32(at + Policy.RECORD_DISTANCE_KM, true),
    isLocal: has(Policy.RECORD_LOCAL),
    isDraining: has(Policy.RECORD_DRAINING),
    isHealthy: has(Policy.RECORD_HEALTHY),
    hasIpv4: has(Policy.RECORD_IPV4),
    hasIpv6: has(Policy.RECORD_IPV6),
    isOwnFamily: has(Policy.RECORD_OWN_FAMILY),
  };
}

/** Writes a whole record. Takes values instead of an object, because nothing may be allocated where flows begin. */
export function writeRecord(
  records: DataView,
  at: number,
  instance: number,
  weight: number,
  flows: number,
  rttUs: number,
  distanceKm: number,
  flags: number,
): void {
  records.setUint32(at + Policy.RECORD_INSTANCE, instance, true);
  records.setUint32(at + Policy.RECORD_WEIGHT, weight, true);
  records.setUint32(at + Policy.RECORD_FLOWS, flows, true);
  records.setUint32(at + Policy.RECORD_RTT_US, rttUs, true);
  records.setFloat32(at + Policy.RECORD_DISTANCE_KM, distanceKm, true);
  records.setUint32(at + Policy.RECORD_FLAGS, flags, true);
  records.setUint32(at + Policy.RECORD_OWN, 0, true);
  records.setUint32(at + Policy.RECORD_RESERVED, 0, true);
}
