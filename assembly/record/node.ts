// A node record, as a type. shared/layout/node.ts says what each field means.

import * as NodeLayout from "../shared/layout/node.ts";

@unmanaged
export class Node {
  version: u32;
  state: u32;
  distanceKm: u32;
  private wantedPage: u32;

  static at(address: usize): Node {
    return changetype<Node>(address);
  }

  loadWantedPage(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeLayout.WANTED_PAGE);
  }

  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), NodeLayout.VERSION);
  }
}
