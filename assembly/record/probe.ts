// A probe, as it is on the wire, as a type. shared/layout/probe.ts says what each field means.

@unmanaged
export class Probe {
  magic: u16;
  version: u8;
  type: u8;
  node: u32;
  nonce: u64;
  abilities: u32;
  page: u32; // or the revision

  static at(address: usize): Probe {
    return changetype<Probe>(address);
  }
}
