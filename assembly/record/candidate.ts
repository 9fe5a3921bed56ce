// A candidate: one instance that a service address may lead to, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { CANDIDATE_FLAGS, CANDIDATE_INSTANCE, CANDIDATE_WEIGHT } from "../shared/layout.ts";

@unmanaged
export class Candidate {
  instance: u32;
  weight: u16;
  flags: u16;

  @inline
  static at(address: usize): Candidate {
    return changetype<Candidate>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkCandidate(): void {
  if (offsetof<Candidate>("instance") != CANDIDATE_INSTANCE) ERROR("Candidate.instance is not at CANDIDATE_INSTANCE");
  if (offsetof<Candidate>("weight") != CANDIDATE_WEIGHT) ERROR("Candidate.weight is not at CANDIDATE_WEIGHT");
  if (offsetof<Candidate>("flags") != CANDIDATE_FLAGS) ERROR("Candidate.flags is not at CANDIDATE_FLAGS");
}
