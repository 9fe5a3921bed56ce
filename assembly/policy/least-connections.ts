// Least connections: the candidate that has the fewest flows for its weight, the new one counted in, so that of two
// idle ones the stronger is first. Of equal ones those of the family in which the service is called are first, and they
// take turns. The counts are those of this node's clients, over all
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
    turn = following(known, turn);
  } while (turn != first);
  return known.take(known.memberCandidate(best).isOwnFamily ? best : equalOfOwnFamily(known, best));
}

/**
 * The next member that is as good as `best` and of the family of the call, or else `best`. A search of its own: to ask
 * for it in the loop above would add an eighth to the time of every choice.
 */
function equalOfOwnFamily(service: Service, best: u32): u32 {
  const bestFlows = <u64>service.memberCandidate(best).flows + 1;
  const bestWeight = <u64>service.memberCandidate(best).weight;
  for (let turn = following(service, best); turn != best; turn = following(service, turn)) {
    const candidate = service.memberCandidate(turn);
    if (!candidate.isOwnFamily) continue;
    if ((<u64>candidate.flows + 1) * bestWeight == bestFlows * <u64>candidate.weight) return turn;
  }
  return best;
}

function following(service: Service, turn: u32): u32 {
  return turn + 1 == service.memberCount ? 0 : turn + 1;
}
