// A health page that came from another node, as a type. shared/layout/health-page.ts says what each field means.

import * as HealthPageLayout from "../shared/layout/health-page.ts";

@unmanaged
export class ReceivedPage {
  private turn: u32;
  node: u32;
  revision: u32;

  static at(address: usize): ReceivedPage {
    return changetype<ReceivedPage>(address);
  }

  /** Nothing that is written afterwards is seen before. */
  exchangeTurn(value: u32): u32 {
    return atomic.xchg<u32>(changetype<usize>(this), value, HealthPageLayout.RECEIVED_TURN);
  }

  storeTurn(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, HealthPageLayout.RECEIVED_TURN);
  }
}
