// How a first fragment was translated and sent, as a type. shared/layout/fragment.ts says what each field means.

import * as FragmentLayout from "../shared/layout/fragment.ts";

@unmanaged
export class FirstFragment {
  source: v128;
  destination: v128;
  sender: u32;
  private gap0: u32;
  private gap1: u64;
  id: u32;
  protocol: u32;
  node: u32;
  sinceMs: u32;
  newSource: v128;
  newDestination: v128;
  bucket: u16;
  next: u16;
  owner: u32;

  static at(address: usize): FirstFragment {
    return changetype<FirstFragment>(address);
  }

  /** In one access: identification and protocol. */
  get idAndProtocol(): u64 {
    return load<u64>(changetype<usize>(this), FragmentLayout.ID);
  }
}
