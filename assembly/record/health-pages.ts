// The head of the region of health pages, as a type. shared/layout/health-page.ts says what each field means.

import * as HealthPageLayout from "../shared/layout/health-page.ts";

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
