// How many blocks somebody has, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { SHARE_BLOCKS, SHARE_OWNER } from "../shared/layout.ts";

@unmanaged
export class Share {
  owner: u32;
  blocks: u32;

  @inline
  static at(address: usize): Share {
    return changetype<Share>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkShare(): void {
  if (offsetof<Share>("owner") != SHARE_OWNER) ERROR("Share.owner is not at SHARE_OWNER");
  if (offsetof<Share>("blocks") != SHARE_BLOCKS) ERROR("Share.blocks is not at SHARE_BLOCKS");
}
