// An address that was refused, as a type. shared/layout/refusal.ts says what each field means. The compiler holds the
// fields to their places.

import * as RefusalLayout from "../shared/layout/refusal.ts";

@unmanaged
export class Refusal {
  address: v128;
  atMs: u32;
  owner: u32;
  isDenial: u32;

  @inline
  static at(address: usize): Refusal {
    return changetype<Refusal>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkRefusal(): void {
  if (offsetof<Refusal>("address") != RefusalLayout.ADDRESS) ERROR("Refusal.address is misplaced");
  if (offsetof<Refusal>("atMs") != RefusalLayout.AT_MS) ERROR("Refusal.atMs is misplaced");
  if (offsetof<Refusal>("owner") != RefusalLayout.REFUSED_OWNER) ERROR("Refusal.owner is misplaced");
  if (offsetof<Refusal>("isDenial") != RefusalLayout.REFUSED_IS_DENIAL) ERROR("Refusal.isDenial is misplaced");
}
