// An address that was refused, as a type. shared/layout/refusal.ts says what each field means.

@unmanaged
export class Refusal {
  address: v128;
  atMs: u32;
  owner: u32;
  isDenial: u32;

  static at(address: usize): Refusal {
    return changetype<Refusal>(address);
  }
}
