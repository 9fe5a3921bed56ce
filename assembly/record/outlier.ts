// What the openings of flows met, as a type. shared/layout/outlier.ts says what each field means.

import * as OutlierLayout from "../shared/layout/outlier.ts";

@unmanaged
export class Outlier {
  private key: u64;
  incarnation: u32;
  usedMs: u32;
  failures: u8;
  cause: u8;
  hasAnswered: bool;
  clientCount: u8;
  firstClient: u32;
  secondClient: u32;

  static at(address: usize): Outlier {
    return changetype<Outlier>(address);
  }

  loadKey(): u64 {
    return atomic.load<u64>(changetype<usize>(this), OutlierLayout.KEY);
  }

  storeKey(value: u64): void {
    atomic.store<u64>(changetype<usize>(this), value, OutlierLayout.KEY);
  }
}
