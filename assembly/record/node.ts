// A node record, and where its tunnel is (a sockaddr_in6) with the sources that its packets may have, as types.
// shared/layout/node.ts and kernel.ts say what each field means.

import * as KernelLayout from "../shared/layout/kernel.ts";
import * as NodeLayout from "../shared/layout/node.ts";

@unmanaged
export class Node {
  version: u32;
  state: u32;
  distanceKm: u32;
  private wantedPage: u32;

  static at(address: usize): Node {
    return changetype<Node>(address);
  }

  loadWantedPage(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeLayout.WANTED_PAGE);
  }

  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeLayout.VERSION);
  }
}

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

  /** In one access each: the halves of the address. */
  get addressUpper(): u64 {
    return load<u64>(changetype<usize>(this), KernelLayout.SOCKADDR_ADDRESS);
  }

  get addressLower(): u64 {
    return load<u64>(changetype<usize>(this), KernelLayout.SOCKADDR_ADDRESS + 8);
  }

  /** It is aligned to 8 bytes only, so it can be no field. */
  get address(): v128 {
    return v128.load(changetype<usize>(this), KernelLayout.SOCKADDR_ADDRESS);
  }
}
