// An address that was refused, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { REFUSAL_ADDRESS, REFUSAL_AT_MS, REFUSED_OWNER } from "../shared/layout.ts";

@unmanaged
export class Refusal {
  address: v128;
  atMs: u32;
  owner: u32;

  @inline
  static at(address: usize): Refusal {
    return changetype<Refusal>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkRefusal(): void {
  if (offsetof<Refusal>("address") != REFUSAL_ADDRESS) ERROR("Refusal.address is not at REFUSAL_ADDRESS");
  if (offsetof<Refusal>("atMs") != REFUSAL_AT_MS) ERROR("Refusal.atMs is not at REFUSAL_AT_MS");
  if (offsetof<Refusal>("owner") != REFUSED_OWNER) ERROR("Refusal.owner is not at REFUSED_OWNER");
}
