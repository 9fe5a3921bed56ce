// The flows of an instance, as a type. shared/layout/instance.ts says what each field means. The compiler holds the
// fields to their places.

import * as InstanceLayout from "../shared/layout/instance.ts";

@unmanaged
export class InstanceLoad {
  served: u64;
  called: u64;

  @inline
  static at(address: usize): InstanceLoad {
    return changetype<InstanceLoad>(address);
  }

  @inline
  loadCalled(): u64 {
    return atomic.load<u64>(changetype<usize>(this), InstanceLayout.LOAD_CALLED);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkInstanceLoad(): void {
  if (offsetof<InstanceLoad>("served") != InstanceLayout.LOAD_SERVED) ERROR("InstanceLoad.served is misplaced");
  if (offsetof<InstanceLoad>("called") != InstanceLayout.LOAD_CALLED) ERROR("InstanceLoad.called is misplaced");
}
