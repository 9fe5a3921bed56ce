// Structures of 64-bit Linux, as types. shared/layout/kernel.ts says what each field means.

import * as KernelLayout from "../shared/layout/kernel.ts";
import * as Sockets from "../shared/sockets.ts";

// Kinds of control messages, of both directions
export const TOS: u64 = ((<u64>Sockets.IP_TOS) << 32) | Sockets.SOL_IP;
export const TRAFFIC_CLASS: u64 = ((<u64>Sockets.IPV6_TCLASS) << 32) | Sockets.SOL_IPV6;

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

@unmanaged
export class Iovec {
  base: u64;
  length: u64;

  static at(address: usize): Iovec {
    return changetype<Iovec>(address);
  }
}

/** With an int or less as data. */
@unmanaged
export class Cmsghdr {
  length: u64;
  level: u32;
  type: u32;
  data: u32;

  static at(address: usize): Cmsghdr {
    return changetype<Cmsghdr>(address);
  }

  /** In one access: level and type. */
  get kind(): u64 {
    return load<u64>(changetype<usize>(this), KernelLayout.CMSG_LEVEL);
  }

  set(kind: u64, data: u32, dataLength: u32): void {
    this.length = KernelLayout.CMSG_DATA + dataLength;
    store<u64>(changetype<usize>(this), kind, KernelLayout.CMSG_LEVEL);
    this.data = data;
  }
}
