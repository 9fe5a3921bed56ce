// A packet that waits, as a type. shared/layout/waiting.ts says what each field means.

import * as WaitingLayout from "../shared/layout/waiting.ts";

@unmanaged
export class Held {
  private gap0: v128;
  destination: v128;
  private gap1: v128;
  private gap2: u64;
  length: u32;
  sinceMs: u32;
  next: u32;
  before: u32;
  blocks: u32;
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
