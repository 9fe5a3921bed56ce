// What the openings of flows met, as a type. What the host needs, too, is described in
// shared/layout/outlier.ts.

import * as OutlierLayout from "../shared/layout/outlier.ts";
import { Cell } from "./cell.ts";

@unmanaged
export class Outlier {
  private gap0: u64;
  incarnation: u32;
  usedMs: u32;
  failures: u8;
  cause: u8;
  hasAnswered: bool;
  clientCount: u8;
  firstClient: u32; // record of the first client of the failures; of EVERYBODY only
  secondClient: u32; // of the second one

  static at(address: usize): Outlier {
    return changetype<Outlier>(address);
  }

  get key(): Cell<u64> {
    return changetype<Cell<u64>>(changetype<usize>(this) + OutlierLayout.KEY);
  }
}
