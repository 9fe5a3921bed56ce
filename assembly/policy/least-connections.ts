// Least connections: the candidate that has the fewest flows for its weight, the new one counted in, so that of two
// idle ones the stronger is first; equal ones take turns. The counts are those of this node's clients, over all
// workers, at the moment of the choice.

import { abiVersion, CHOICE_NONE, reserve, Service, update } from "./sdk.ts";

export { abiVersion, reserve, update };

export function liveFlows(): i32 {
  return 1;
}

export function choose(service: i32, flowHash: i32, _clientHash: i32): i32 {
  const known = Service.find(service);
  if (known == null || known.memberCount == 0) return CHOICE_NONE;
  const first = known.turn(flowHash);
  let best = first;
  let bestFlows: u64 = (<u64>1) << 33; // more than there can be
  let bestWeight: u64 = 1;
  let turn = first;
  do {
    const candidate = known.memberCandidate(turn);
    const flows = <u64>candidate.flows + 1;
    const weight = <u64>candidate.weight;
    // flows / weight < bestFlows / bestWeight
    if (flows * bestWeight < bestFlows * weight) {
      best = turn;
      bestFlows = flows;
      bestWeight = weight;
    }
    turn = turn + 1 == known.memberCount ? 0 : turn + 1;
  } while (turn != first);
  return known.take(best);
}
