// A candidate: one instance that a service address may lead to, as a type. shared/layout/candidate.ts says what each
// field means. The compiler holds the fields to their places.

import * as CandidateLayout from "../shared/layout/candidate.ts";

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
  if (offsetof<Candidate>("instance") != CandidateLayout.INSTANCE) ERROR("Candidate.instance is misplaced");
  if (offsetof<Candidate>("weight") != CandidateLayout.WEIGHT) ERROR("Candidate.weight is misplaced");
  if (offsetof<Candidate>("flags") != CandidateLayout.FLAGS) ERROR("Candidate.flags is misplaced");
}
