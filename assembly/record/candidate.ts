// A candidate: one instance that a service address may lead to, as a type. shared/layout/candidate.ts says what each
// field means.

@unmanaged
export class Candidate {
  instance: u32;
  weight: u16;
  flags: u16;

  static at(address: usize): Candidate {
    return changetype<Candidate>(address);
  }
}
