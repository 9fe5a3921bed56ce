// A slot of the address, workload or sender table, as a type. shared/layout/address.ts says what each field means.

import * as AddressLayout from "../shared/layout/address.ts";

@unmanaged
export class AddressSlot {
  key: v128;
  version: u32;
  values: u32;
  private gap0: u32;
  state: u32;

  static at(address: usize): AddressSlot {
    return changetype<AddressSlot>(address);
  }

  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), AddressLayout.VERSION);
  }

  loadState(): u32 {
    return atomic.load<u32>(changetype<usize>(this), AddressLayout.STATE);
  }
}
