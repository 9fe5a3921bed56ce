// An entry of the TUN transmit queue, as a type. shared/layout/worker.ts says what each field means.

@unmanaged
export class TunWrite {
  iov: u64;
  iovCount: u32;
  packets: u32;

  static at(address: usize): TunWrite {
    return changetype<TunWrite>(address);
  }
}
