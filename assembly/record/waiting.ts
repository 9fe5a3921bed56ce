// A packet that waits, a row of them, and how many blocks somebody has, as types. What the host needs, too, is
// described in shared/layout/waiting.ts.

import * as WaitingLayout from "../shared/layout/waiting.ts";

@unmanaged
export class Held {
  private gap0: v128;
  destination: v128;
  private gap1: v128;
  private gap2: u64;
  length: u32;
  sinceMs: u32;
  next: u32; // the packet that came to the row after it, 0 = none
  before: u32; // the one that came before it
  blocks: u32; // how many
  owner: u32;
  state: u32;
  changes: u32;

  static at(address: usize): Held {
    return changetype<Held>(address);
  }

  storeState(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, WaitingLayout.HELD_STATE);
  }

  addChanges(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, WaitingLayout.HELD_CHANGES);
  }
}

@unmanaged
export class WaitingRow {
  first: u32; // the packet that has waited longest, 0 = none waits
  last: u32;
  count: u32;
  bytes: u32;

  static at(address: usize): WaitingRow {
    return changetype<WaitingRow>(address);
  }
}

@unmanaged
export class Share {
  owner: u32; // 0 = free
  blocks: u32;

  static at(address: usize): Share {
    return changetype<Share>(address);
  }
}
