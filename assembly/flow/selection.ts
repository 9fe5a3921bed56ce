// Which instance takes a new flow: the one that the policy names, as long as no better one is there. Promises: whatever
// a policy does, a flow goes to an instance that may serve it if there is one, and if there is none, to one that is
// unhealthy rather than nowhere: checks may be wrong about all of them at once.

import { count } from "../area/count.ts";
import { candidatesAt } from "../area/regions.ts";
import { Candidate } from "../record/candidate.ts";
import { Service } from "../record/service.ts";
import { Counter } from "../shared/counters.ts";
import * as CandidateLayout from "../shared/layout/candidate.ts";
import { InstanceHealth } from "../shared/layout/instance.ts";
import { ServiceKind } from "../shared/layout/service.ts";
import { isNoAddress } from "../table/address.ts";
import { policyClientHash, policyFlowHash } from "../table/hash.ts";
import { healthOf, namespaceAddress, nodeOf } from "../table/instance.ts";
import { isReachable } from "../table/node.ts";
import { isAvoided } from "../table/outlier.ts";
import { Packet } from "../wire/packet.ts";
import { choose } from "./policy.ts";

/** How much speaks for an instance, the least first. */
enum Fitness {
  none, // there is no instance
  lost, // its node is
  unhealthy,
  fit, // nothing is known that speaks against it
}

/** Of one that is fit and has the packet's own family. */
const RANK_MAX: u32 = ((<u32>Fitness.fit) << 1) | 1;

/** Index of the instance that takes the flow, or 0. */
export function chooseInstance(service: usize, packet: Packet, client: u32, clientAddress: v128, nowMs: u32): u32 {
  const first = Service.at(service).candidates;
  if (Service.at(service).kind == ServiceKind.instance) return first;
  const candidateCount = Service.at(service).candidateCount;
  if (candidateCount == 0) return 0;
  const candidates = candidatesAt + <usize>first * CandidateLayout.SIZE;
  const hash = policyFlowHash(clientAddress, packet.destination, packet.ports, packet.protocol);
  const choice = <u32>choose(service, hash, policyClientHash(clientAddress));
  const isValid = choice < candidateCount && !isDraining(candidates, choice);
  const chosen = isValid ? candidateInstance(candidates, choice) : 0;
  const fitness = fitnessOf(chosen, packet, client, nowMs);
  if (fitness == Fitness.fit) return chosenByPolicy(chosen);
  const other = fallback(candidates, candidateCount, hash, packet, client, nowMs);
  const otherFitness = fitnessOf(other, packet, client, nowMs);
  if (fitness == Fitness.unhealthy && otherFitness <= fitness) return chosenByPolicy(chosen);
  if (otherFitness > Fitness.lost) count(isValid ? Counter.policyOverruled : Counter.policyFallbacks, 1);
  return other;
}

function chosenByPolicy(instance: u32): u32 {
  count(Counter.policyChoices, 1);
  return instance;
}

/**
 * The engine's own choice: by the hash, one of the fittest of those that take new flows, and of these one that has the
 * packet's own family; 0 = none.
 */
function fallback(candidates: usize, candidateCount: u32, hash: u32, packet: Packet, client: u32, nowMs: u32): u32 {
  let best: u32 = 0;
  let bestRank: u32 = 0;
  const start = hash % candidateCount;
  for (let i: u32 = 0; i < candidateCount; i++) {
    const candidate = (start + i) % candidateCount;
    if (isDraining(candidates, candidate)) continue;
    const instance = candidateInstance(candidates, candidate);
    const family: u32 = isNoAddress(namespaceAddress(instance, packet.isIpv4)) ? 0 : 1;
    const rank = ((<u32>fitnessOf(instance, packet, client, nowMs)) << 1) | family;
    if (rank <= bestRank) continue;
    best = instance;
    bestRank = rank;
    if (rank == RANK_MAX) break;
  }
  return best;
}

/** To the client of the packet. What its own openings met counts where no check knows better. */
function fitnessOf(instance: u32, packet: Packet, client: u32, nowMs: u32): Fitness {
  if (instance == 0) return Fitness.none;
  if (!isReachable(nodeOf(instance))) return Fitness.lost;
  const health = healthOf(instance);
  if (health == InstanceHealth.unhealthy) return Fitness.unhealthy;
  if (health == InstanceHealth.healthy) return Fitness.fit;
  const port = packet.destinationPort;
  return isAvoided(client, instance, packet.protocol, port, nowMs) ? Fitness.unhealthy : Fitness.fit;
}

function candidateInstance(candidates: usize, index: u32): u32 {
  return Candidate.at(candidates + <usize>index * CandidateLayout.SIZE).instance;
}

function isDraining(candidates: usize, index: u32): bool {
  return (Candidate.at(candidates + <usize>index * CandidateLayout.SIZE).flags & CandidateLayout.DRAINING) != 0;
}
