// struct mmsghdr of 64-bit Linux, as a type. shared/layout/kernel.ts says what each field means.

@unmanaged
export class Mmsghdr {
  name: u64;
  nameLength: u32;
  private gap0: u32;
  iov: u64;
  iovCount: u64;
  control: u64;
  controlLength: u64;
  flags: u32;
  private gap1: u32;
  length: u32;
  fragments: u32;

  static at(address: usize): Mmsghdr {
    return changetype<Mmsghdr>(address);
  }
}
