// The flows of an instance, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { INSTANCE_LOAD_CALLED, INSTANCE_LOAD_SERVED } from "../shared/layout.ts";

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
    return atomic.load<u64>(changetype<usize>(this), INSTANCE_LOAD_CALLED);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkInstanceLoad(): void {
  if (offsetof<InstanceLoad>("served") != INSTANCE_LOAD_SERVED)
    ERROR("InstanceLoad.served is not at INSTANCE_LOAD_SERVED");
  if (offsetof<InstanceLoad>("called") != INSTANCE_LOAD_CALLED)
    ERROR("InstanceLoad.called is not at INSTANCE_LOAD_CALLED");
}
