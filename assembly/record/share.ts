// How many blocks somebody has, as a type. shared/layout/waiting.ts says what each field means.

@unmanaged
export class Share {
  owner: u32;
  blocks: u32;

  static at(address: usize): Share {
    return changetype<Share>(address);
  }
}
