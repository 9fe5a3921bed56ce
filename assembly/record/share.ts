// How many blocks somebody has, as a type. shared/layout/waiting.ts says what each field means. The compiler holds the
// fields to their places.

import * as WaitingLayout from "../shared/layout/waiting.ts";

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
  if (offsetof<Share>("owner") != WaitingLayout.SHARE_OWNER) ERROR("Share.owner is misplaced");
  if (offsetof<Share>("blocks") != WaitingLayout.SHARE_BLOCKS) ERROR("Share.blocks is misplaced");
}
