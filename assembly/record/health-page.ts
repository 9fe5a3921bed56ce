// The head of the region of health pages, and a page that came from another node, as types.
// shared/layout/health-page.ts says what each field means.

import * as HealthPageLayout from "../shared/layout/health-page.ts";
import { Cell } from "./cell.ts";

@unmanaged
export class HealthPages {
  private gap0: u32;
  pageCount: u32;

  static at(address: usize): HealthPages {
    return changetype<HealthPages>(address);
  }

  get sequence(): Cell<u32> {
    return changetype<Cell<u32>>(changetype<usize>(this) + HealthPageLayout.SEQUENCE);
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
