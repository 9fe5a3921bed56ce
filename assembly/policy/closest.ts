// Closest: who answers soonest. Of the candidates that take new flows,
//   1. those on this node, if there are any: no time or distance is asked then;
//   2. those with the lowest round-trip time: within 1 ms or 20 % of the best, whichever is more, counts as equal.
//      A time that was not measured is worse than any that was (a node of another make never answers probes);
//      if none was measured, all are equal;
//   3. of these, those with the smallest distance: within 1 km counts as equal, an unknown distance is the largest;
//   4. of these, those of the family in which the service is called, if there are any;
//   5. of these, each in turn.
// Who was chosen before stays equal until it is 1.5 times as far behind, so that times that waver around the limit
// do not move the traffic to and fro.

import { abiVersion, Candidate, CHOICE_NONE, reserve, Service, UPDATE_DONE, UPDATE_UNKNOWN } from "./sdk.ts";

export { abiVersion, reserve };

const EQUAL_RTT_US: u32 = 1000;
const EQUAL_RTT_DIVISOR: u32 = 5; // 20 %
const EQUAL_DISTANCE_KM: f32 = 1;

export function update(service: i32, count: i32): i32 {
  const known = Service.find(service);
  if (known == null) return UPDATE_UNKNOWN;
  if (<u32>count > known.capacity) return UPDATE_UNKNOWN;
  markIncumbents(known, <u32>count);
  known.begin(count);
  if (!addLocal(known)) addClosest(known);
  known.preferOwnFamily();
  known.settle();
  return UPDATE_DONE;
}

export function choose(service: i32, flowHash: i32, _clientHash: i32): i32 {
  const known = Service.find(service);
  return known == null ? CHOICE_NONE : known.next(flowHash);
}

/** `own` of a candidate says that it was a member until now. */
function markIncumbents(service: Service, count: u32): void {
  for (let index: u32 = 0; index < count; index++) {
    const candidate = service.candidate(index);
    candidate.own = service.hasMember(candidate.instance) ? 1 : 0;
  }
}

function addLocal(service: Service): bool {
  for (let index: u32 = 0; index < service.count; index++) {
    const candidate = service.candidate(index);
    if (candidate.isEligible && candidate.isLocal) service.add(index);
  }
  return service.memberCount != 0;
}

function addClosest(service: Service): void {
  const bestUs = lowestRttUs(service);
  let nearestKm = f32.MAX_VALUE;
  for (let index: u32 = 0; index < service.count; index++) {
    const candidate = service.candidate(index);
    if (isEqualInTime(candidate, bestUs)) nearestKm = min(nearestKm, distanceKm(candidate));
  }
  for (let index: u32 = 0; index < service.count; index++) {
    const candidate = service.candidate(index);
    if (isEqualInTime(candidate, bestUs) && distanceKm(candidate) <= nearestKm + EQUAL_DISTANCE_KM) service.add(index);
  }
}

/** 0 = none of them was measured. */
function lowestRttUs(service: Service): u32 {
  let lowest: u32 = 0;
  for (let index: u32 = 0; index < service.count; index++) {
    const candidate = service.candidate(index);
    if (!candidate.isEligible || candidate.rttUs == 0) continue;
    if (lowest == 0 || candidate.rttUs < lowest) lowest = candidate.rttUs;
  }
  return lowest;
}

function isEqualInTime(candidate: Candidate, bestUs: u32): bool {
  if (!candidate.isEligible) return false;
  if (bestUs == 0) return true;
  if (candidate.rttUs == 0) return false;
  const entryUs = max(EQUAL_RTT_US, bestUs / EQUAL_RTT_DIVISOR);
  const limitUs = candidate.own != 0 ? entryUs + entryUs / 2 : entryUs;
  return candidate.rttUs - bestUs <= limitUs;
}

/** Unknown is farther than everything known, and as far as any other unknown. */
function distanceKm(candidate: Candidate): f32 {
  return candidate.distanceKm >= 0 ? candidate.distanceKm : f32.MAX_VALUE;
}
