// A packet that waits, as a type. shared/layout/waiting.ts says what each field means. The compiler holds the fields to
// their places.

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

  @inline
  static at(address: usize): Held {
    return changetype<Held>(address);
  }

  @inline
  storeState(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, WaitingLayout.HELD_STATE);
  }

  @inline
  addChanges(value: u32): u32 {
    return atomic.add<u32>(changetype<usize>(this), value, WaitingLayout.HELD_CHANGES);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkHeld(): void {
  if (offsetof<Held>("destination") != WaitingLayout.HELD_DESTINATION) ERROR("Held.destination is misplaced");
  if (offsetof<Held>("length") != WaitingLayout.HELD_LENGTH) ERROR("Held.length is misplaced");
  if (offsetof<Held>("sinceMs") != WaitingLayout.HELD_SINCE_MS) ERROR("Held.sinceMs is misplaced");
  if (offsetof<Held>("next") != WaitingLayout.HELD_NEXT) ERROR("Held.next is misplaced");
  if (offsetof<Held>("before") != WaitingLayout.HELD_BEFORE) ERROR("Held.before is misplaced");
  if (offsetof<Held>("blocks") != WaitingLayout.HELD_BLOCKS) ERROR("Held.blocks is misplaced");
  if (offsetof<Held>("owner") != WaitingLayout.HELD_OWNER) ERROR("Held.owner is misplaced");
  if (offsetof<Held>("state") != WaitingLayout.HELD_STATE) ERROR("Held.state is misplaced");
  if (offsetof<Held>("changes") != WaitingLayout.HELD_CHANGES) ERROR("Held.changes is misplaced");
}
