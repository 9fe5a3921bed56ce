// A node record, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { NODE_DISTANCE_KM, NODE_STATE, NODE_VERSION } from "../shared/layout.ts";

@unmanaged
export class Node {
  version: u32;
  state: u32;
  distanceKm: u32;

  @inline
  static at(address: usize): Node {
    return changetype<Node>(address);
  }

  @inline
  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NODE_VERSION);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkNode(): void {
  if (offsetof<Node>("version") != NODE_VERSION) ERROR("Node.version is not at NODE_VERSION");
  if (offsetof<Node>("state") != NODE_STATE) ERROR("Node.state is not at NODE_STATE");
  if (offsetof<Node>("distanceKm") != NODE_DISTANCE_KM) ERROR("Node.distanceKm is not at NODE_DISTANCE_KM");
}
