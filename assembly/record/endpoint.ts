// Where a node's tunnel is (a sockaddr_in6), and which sources its packets may have, as a type.
// shared/layout/kernel.ts and node.ts say what each field means.

import * as KernelLayout from "../shared/layout/kernel.ts";

@unmanaged
export class Endpoint {
  family: u16;
  port: u16;
  private gap0: u32;
  private gap1: u64;
  private gap2: u64;
  private gap3: u32;
  accepts: u32;

  static at(address: usize): Endpoint {
    return changetype<Endpoint>(address);
  }

  /** In one access: the first half of the address. */
  get addressUpper(): u64 {
    return load<u64>(changetype<usize>(this), KernelLayout.SOCKADDR_ADDRESS);
  }

  /** It is aligned to 8 bytes only, so it can be no field. */
  get address(): v128 {
    return v128.load(changetype<usize>(this), KernelLayout.SOCKADDR_ADDRESS);
  }
}
