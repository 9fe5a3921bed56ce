// An instance record and the flows of an instance, as types. shared/layout/instance.ts says what each field means.

import * as InstanceLayout from "../shared/layout/instance.ts";

@unmanaged
export class Instance {
  namespaceV4: v128;
  namespaceV6: v128;
  addressV4: v128;
  addressV6: v128;
  node: u32;
  incarnation: u32;
  died: u32;
  number: u32;
  version: u32;
  private health: u32;

  static at(address: usize): Instance {
    return changetype<Instance>(address);
  }

  loadDied(): u32 {
    return atomic.load<u32>(changetype<usize>(this), InstanceLayout.DIED);
  }

  loadHealth(): u32 {
    return atomic.load<u32>(changetype<usize>(this), InstanceLayout.HEALTH);
  }

  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), InstanceLayout.VERSION);
  }
}

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
