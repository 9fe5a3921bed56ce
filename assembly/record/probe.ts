// A probe, as it is on the wire, as a type. shared/layout/probe.ts says what each field means. The compiler holds the
// fields to their places.

import * as ProbeLayout from "../shared/layout/probe.ts";

@unmanaged
export class Probe {
  private gap0: u16;
  version: u8;
  type: u8;
  node: u32;
  nonce: u64;
  abilities: u32;
  page: u32; // or the revision

  @inline
  static at(address: usize): Probe {
    return changetype<Probe>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkProbe(): void {
  if (offsetof<Probe>("version") != ProbeLayout.VERSION_AT) ERROR("Probe.version is misplaced");
  if (offsetof<Probe>("type") != ProbeLayout.TYPE_AT) ERROR("Probe.type is misplaced");
  if (offsetof<Probe>("node") != ProbeLayout.NODE_AT) ERROR("Probe.node is misplaced");
  if (offsetof<Probe>("nonce") != ProbeLayout.NONCE_AT) ERROR("Probe.nonce is misplaced");
  if (offsetof<Probe>("abilities") != ProbeLayout.ABILITIES_AT) ERROR("Probe.abilities is misplaced");
  if (offsetof<Probe>("page") != ProbeLayout.PAGE_AT) ERROR("Probe.page is misplaced");
  if (offsetof<Probe>("page") != ProbeLayout.REVISION_AT) ERROR("Probe.page is misplaced");
}
