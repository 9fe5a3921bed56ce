// An address that was refused, as a type. What the host needs, too, is described in shared/layout/refusal.ts.

@unmanaged
export class Refusal {
  address: v128;
  atMs: u32;
  owner: u32; // who is charged for it; 0 = the record is free
  isDenial: u32; // 1 = the control plane said so; 0 = nobody answered in time

  static at(address: usize): Refusal {
    return changetype<Refusal>(address);
  }
}
