// The flows of an instance, as a type. shared/layout/instance.ts says what each field means.

import * as InstanceLayout from "../shared/layout/instance.ts";

@unmanaged
export class InstanceLoad {
  served: u64;
  called: u64;

  static at(address: usize): InstanceLoad {
    return changetype<InstanceLoad>(address);
  }

  loadCalled(): u64 {
    return atomic.load<u64>(changetype<usize>(this), InstanceLayout.LOAD_CALLED);
  }
}
