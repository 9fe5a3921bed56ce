// Random: each choice falls on each of the candidates that take new flows with the same probability, whatever the
// choices before. A module has no source of randomness; the numbers are those of splitmix64, and the flows' hashes
// keep workers, which all begin with the same number, apart.

import { abiVersion, CHOICE_NONE, reserve, Service, scramble, update } from "./sdk.ts";

export { abiVersion, reserve, update };

const STEP: u64 = 0x9e3779b97f4a7c15; // odd: comes by every value before one repeats

export function choose(service: i32, flowHash: i32, _clientHash: i32): i32 {
  const known = Service.find(service);
  if (known == null || known.memberCount == 0) return CHOICE_NONE;
  state += STEP;
  const random = scramble(state ^ ((<u64>(<u32>flowHash)) << 32)) >>> 32;
  return known.member(<u32>((random * known.memberCount) >>> 32));
}

let state: u64 = 0;
