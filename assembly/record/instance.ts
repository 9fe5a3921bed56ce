// An instance record, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  INSTANCE_ADDRESS_V4,
  INSTANCE_ADDRESS_V6,
  INSTANCE_DIED,
  INSTANCE_INCARNATION,
  INSTANCE_NAMESPACE_V4,
  INSTANCE_NAMESPACE_V6,
  INSTANCE_NODE,
  INSTANCE_NUMBER,
  INSTANCE_VERSION,
} from "../shared/layout.ts";

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

  @inline
  static at(address: usize): Instance {
    return changetype<Instance>(address);
  }

  @inline
  loadDied(): u32 {
    return atomic.load<u32>(changetype<usize>(this), INSTANCE_DIED);
  }

  @inline
  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), INSTANCE_VERSION);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkInstance(): void {
  if (offsetof<Instance>("namespaceV4") != INSTANCE_NAMESPACE_V4)
    ERROR("Instance.namespaceV4 is not at INSTANCE_NAMESPACE_V4");
  if (offsetof<Instance>("namespaceV6") != INSTANCE_NAMESPACE_V6)
    ERROR("Instance.namespaceV6 is not at INSTANCE_NAMESPACE_V6");
  if (offsetof<Instance>("addressV4") != INSTANCE_ADDRESS_V4) ERROR("Instance.addressV4 is not at INSTANCE_ADDRESS_V4");
  if (offsetof<Instance>("addressV6") != INSTANCE_ADDRESS_V6) ERROR("Instance.addressV6 is not at INSTANCE_ADDRESS_V6");
  if (offsetof<Instance>("node") != INSTANCE_NODE) ERROR("Instance.node is not at INSTANCE_NODE");
  if (offsetof<Instance>("incarnation") != INSTANCE_INCARNATION)
    ERROR("Instance.incarnation is not at INSTANCE_INCARNATION");
  if (offsetof<Instance>("died") != INSTANCE_DIED) ERROR("Instance.died is not at INSTANCE_DIED");
  if (offsetof<Instance>("number") != INSTANCE_NUMBER) ERROR("Instance.number is not at INSTANCE_NUMBER");
  if (offsetof<Instance>("version") != INSTANCE_VERSION) ERROR("Instance.version is not at INSTANCE_VERSION");
}
