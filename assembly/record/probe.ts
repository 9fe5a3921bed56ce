// A probe, as it is on the wire, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  PROBE_ABILITIES_AT,
  PROBE_NODE_AT,
  PROBE_NONCE_AT,
  PROBE_TYPE_AT,
  PROBE_VERSION_AT,
} from "../shared/layout.ts";

@unmanaged
export class Probe {
  private gap0: u16;
  version: u8;
  type: u8;
  node: u32;
  nonce: u64;
  abilities: u64;

  @inline
  static at(address: usize): Probe {
    return changetype<Probe>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkProbe(): void {
  if (offsetof<Probe>("version") != PROBE_VERSION_AT) ERROR("Probe.version is not at PROBE_VERSION_AT");
  if (offsetof<Probe>("type") != PROBE_TYPE_AT) ERROR("Probe.type is not at PROBE_TYPE_AT");
  if (offsetof<Probe>("node") != PROBE_NODE_AT) ERROR("Probe.node is not at PROBE_NODE_AT");
  if (offsetof<Probe>("nonce") != PROBE_NONCE_AT) ERROR("Probe.nonce is not at PROBE_NONCE_AT");
  if (offsetof<Probe>("abilities") != PROBE_ABILITIES_AT) ERROR("Probe.abilities is not at PROBE_ABILITIES_AT");
}
