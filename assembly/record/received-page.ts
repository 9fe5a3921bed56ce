// A health page that came from another node, as a type. shared/layout/health-page.ts says what each field means. The
// compiler holds the fields to their places.

import * as HealthPageLayout from "../shared/layout/health-page.ts";

@unmanaged
export class ReceivedPage {
  private turn: u32;
  node: u32;
  revision: u32;

  @inline
  static at(address: usize): ReceivedPage {
    return changetype<ReceivedPage>(address);
  }

  /** Nothing that is written afterwards is seen before. */
  @inline
  exchangeTurn(value: u32): u32 {
    return atomic.xchg<u32>(changetype<usize>(this), value, HealthPageLayout.RECEIVED_TURN);
  }

  @inline
  storeTurn(value: u32): void {
    atomic.store<u32>(changetype<usize>(this), value, HealthPageLayout.RECEIVED_TURN);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkReceivedPage(): void {
  if (offsetof<ReceivedPage>("node") != HealthPageLayout.RECEIVED_NODE) ERROR("ReceivedPage.node is misplaced");
  if (offsetof<ReceivedPage>("revision") != HealthPageLayout.RECEIVED_REVISION)
    ERROR("ReceivedPage.revision is misplaced");
}
