// How a first fragment was translated and sent, as a type. Its key is what stands before `node`.

import * as FragmentLayout from "../shared/layout/fragment.ts";

@unmanaged
export class FirstFragment {
  source: v128;
  destination: v128;
  sender: u32; // node that it came from; NodeLayout.LOCAL = the TUN
  private gap0: u32;
  private gap1: u64;
  id: u32;
  protocol: u32; // in IPv6, where fragments may differ in it, 0
  node: u32; // where it went; NodeLayout.LOCAL = into the TUN
  sinceMs: u32;
  newSource: v128;
  newDestination: v128;
  bucket: u16; // index of its head
  next: u16;
  owner: u32; // who is charged for it; 0 = the record is free

  static at(address: usize): FirstFragment {
    return changetype<FirstFragment>(address);
  }

  /** In one access: identification and protocol. */
  get idAndProtocol(): u64 {
    return load<u64>(changetype<usize>(this), FragmentLayout.ID);
  }
}
