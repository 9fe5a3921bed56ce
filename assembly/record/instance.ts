// An instance record, as a type. shared/layout/instance.ts says what each field means. The compiler holds the fields to
// their places.

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

  @inline
  static at(address: usize): Instance {
    return changetype<Instance>(address);
  }

  @inline
  loadDied(): u32 {
    return atomic.load<u32>(changetype<usize>(this), InstanceLayout.DIED);
  }

  @inline
  loadHealth(): u32 {
    return atomic.load<u32>(changetype<usize>(this), InstanceLayout.HEALTH);
  }

  @inline
  loadVersion(): u32 {
    return atomic.load<u32>(changetype<usize>(this), InstanceLayout.VERSION);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkInstance(): void {
  if (offsetof<Instance>("namespaceV4") != InstanceLayout.NAMESPACE_V4) ERROR("Instance.namespaceV4 is misplaced");
  if (offsetof<Instance>("namespaceV6") != InstanceLayout.NAMESPACE_V6) ERROR("Instance.namespaceV6 is misplaced");
  if (offsetof<Instance>("addressV4") != InstanceLayout.ADDRESS_V4) ERROR("Instance.addressV4 is misplaced");
  if (offsetof<Instance>("addressV6") != InstanceLayout.ADDRESS_V6) ERROR("Instance.addressV6 is misplaced");
  if (offsetof<Instance>("node") != InstanceLayout.NODE) ERROR("Instance.node is misplaced");
  if (offsetof<Instance>("incarnation") != InstanceLayout.INCARNATION) ERROR("Instance.incarnation is misplaced");
  if (offsetof<Instance>("died") != InstanceLayout.DIED) ERROR("Instance.died is misplaced");
  if (offsetof<Instance>("number") != InstanceLayout.NUMBER) ERROR("Instance.number is misplaced");
  if (offsetof<Instance>("version") != InstanceLayout.VERSION) ERROR("Instance.version is misplaced");
  if (offsetof<Instance>("health") != InstanceLayout.HEALTH) ERROR("Instance.health is misplaced");
}
