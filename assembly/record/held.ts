// A packet that waits, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  HELD_BEFORE,
  HELD_BLOCKS,
  HELD_CHANGES,
  HELD_DESTINATION,
  HELD_LENGTH,
  HELD_NEXT,
  HELD_OWNER,
  HELD_SINCE_MS,
  HELD_STATE,
} from "../shared/layout.ts";

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

  @inline
  static at(address: usize): Held {
    return changetype<Held>(address);
  }

  @inline
  storeState(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, HELD_STATE);
  }

  @inline
  addChanges(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, HELD_CHANGES);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkHeld(): void {
  if (offsetof<Held>("destination") != HELD_DESTINATION) ERROR("Held.destination is not at HELD_DESTINATION");
  if (offsetof<Held>("length") != HELD_LENGTH) ERROR("Held.length is not at HELD_LENGTH");
  if (offsetof<Held>("sinceMs") != HELD_SINCE_MS) ERROR("Held.sinceMs is not at HELD_SINCE_MS");
  if (offsetof<Held>("next") != HELD_NEXT) ERROR("Held.next is not at HELD_NEXT");
  if (offsetof<Held>("before") != HELD_BEFORE) ERROR("Held.before is not at HELD_BEFORE");
  if (offsetof<Held>("blocks") != HELD_BLOCKS) ERROR("Held.blocks is not at HELD_BLOCKS");
  if (offsetof<Held>("owner") != HELD_OWNER) ERROR("Held.owner is not at HELD_OWNER");
  if (offsetof<Held>("state") != HELD_STATE) ERROR("Held.state is not at HELD_STATE");
  if (offsetof<Held>("changes") != HELD_CHANGES) ERROR("Held.changes is not at HELD_CHANGES");
}
