// The head of the region of health pages, and a page that came from another node, as types.
// shared/layout/health-page.ts says what each field means.

import * as HealthPageLayout from "../shared/layout/health-page.ts";
import { Cell } from "./cell.ts";

@unmanaged
export class HealthPages {
  private sequence: u32;
  pageCount: u32;

  static at(address: usize): HealthPages {
    return changetype<HealthPages>(address);
  }

  loadSequence(): u32 {
    return atomic.load<u32>(changetype<usize>(this), HealthPageLayout.SEQUENCE);
  }

  /** The same, and nothing that was read before is read afterwards. */
  fenceSequence(): u32 {
    return atomic.add<u32>(changetype<usize>(this), 0, HealthPageLayout.SEQUENCE);
  }
}

@unmanaged
export class ReceivedPage {
  private gap0: u32;
  node: u32;
  revision: u32;

  static at(address: usize): ReceivedPage {
    return changetype<ReceivedPage>(address);
  }

  get turn(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + HealthPageLayout.RECEIVED_TURN);
  }
}
