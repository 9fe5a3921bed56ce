// A node record, as a type. shared/layout/node.ts says what each field means. The compiler holds the fields to their
// places.

import * as NodeLayout from "../shared/layout/node.ts";

@unmanaged
export class Node {
  version: u32;
  state: u32;
  distanceKm: u32;
  private wantedPage: u32;

  @inline
  static at(address: usize): Node {
    return changetype<Node>(address);
  }

  @inline
  loadWantedPage(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeLayout.WANTED_PAGE);
  }

  @inline
  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeLayout.VERSION);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkNode(): void {
  if (offsetof<Node>("version") != NodeLayout.VERSION) ERROR("Node.version is misplaced");
  if (offsetof<Node>("state") != NodeLayout.STATE) ERROR("Node.state is misplaced");
  if (offsetof<Node>("distanceKm") != NodeLayout.DISTANCE_KM) ERROR("Node.distanceKm is misplaced");
  if (offsetof<Node>("wantedPage") != NodeLayout.WANTED_PAGE) ERROR("Node.wantedPage is misplaced");
}
