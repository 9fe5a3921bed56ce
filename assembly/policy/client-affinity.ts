// Client affinity: one client address always has one instance. Rendezvous hashing (Thaler and Ravishankar 1998):
// client and instance together make a number, and the instance with the best one is chosen. So who comes takes
// clients from the others and who leaves gives its own to them, in proportion to their weights; nobody else moves.
// It depends on client address, instance numbers and weights alone: every node and worker answers the same, also after
// a restart.

import { abiVersion, CHOICE_NONE, reserve, Service, scramble, update } from "./sdk.ts";

export { abiVersion, reserve, update };

const UNIT: f64 = 1.0 / 4503599627370496.0; // 2^-52

/**
 * The number is -ln(u) / weight with u uniform in (0, 1): exponentially distributed with the weight as its rate, so
 * that the lowest of all is an instance's with the probability of its share of the weights.
 */
export function choose(service: i32, _flowHash: i32, clientHash: i32): i32 {
  const known = Service.find(service);
  if (known == null) return CHOICE_NONE;
  const client = (<u64>(<u32>clientHash)) << 32;
  let best = CHOICE_NONE;
  let lowest = f64.MAX_VALUE;
  for (let turn: u32 = 0; turn < known.memberCount; turn++) {
    const candidate = known.memberCandidate(turn);
    const u = (<f64>(scramble(client | candidate.instance) >>> 12) + 0.5) * UNIT;
    const weight = <f64>candidate.weight;
    // -ln(u) >= 1 - u: this spares most of the logarithms.
    if (1.0 - u >= lowest * weight) continue;
    const number = -Math.log(u) / weight;
    if (number >= lowest) continue;
    lowest = number;
    best = known.member(turn);
  }
  return best;
}
