// A slot of the address, workload or sender table, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { ADDRESS_KEY, ADDRESS_STATE, ADDRESS_VALUES, ADDRESS_VERSION } from "../shared/layout.ts";

@unmanaged
export class AddressSlot {
  key: v128;
  version: u32;
  values: u32;
  private gap0: u32;
  state: u32;

  @inline
  static at(address: usize): AddressSlot {
    return changetype<AddressSlot>(address);
  }

  @inline
  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), ADDRESS_VERSION);
  }

  @inline
  loadState(): u32 {
    return atomic.load<u32>(changetype<usize>(this), ADDRESS_STATE);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkAddressSlot(): void {
  if (offsetof<AddressSlot>("key") != ADDRESS_KEY) ERROR("AddressSlot.key is not at ADDRESS_KEY");
  if (offsetof<AddressSlot>("version") != ADDRESS_VERSION) ERROR("AddressSlot.version is not at ADDRESS_VERSION");
  if (offsetof<AddressSlot>("values") != ADDRESS_VALUES) ERROR("AddressSlot.values is not at ADDRESS_VALUES");
  if (offsetof<AddressSlot>("state") != ADDRESS_STATE) ERROR("AddressSlot.state is not at ADDRESS_STATE");
}
