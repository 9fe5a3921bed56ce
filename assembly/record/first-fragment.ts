// How a first fragment was translated and sent, as a type. shared/layout/fragment.ts says what each field means. The
// compiler holds the fields to their places.

import * as FragmentLayout from "../shared/layout/fragment.ts";

@unmanaged
export class FirstFragment {
  source: v128;
  destination: v128;
  sender: u32;
  private gap0: u32;
  private gap1: u64;
  id: u32;
  protocol: u32;
  node: u32;
  sinceMs: u32;
  newSource: v128;
  newDestination: v128;
  bucket: u16;
  next: u16;
  owner: u32;

  @inline
  static at(address: usize): FirstFragment {
    return changetype<FirstFragment>(address);
  }

  /** In one access: identification and protocol. */
  @inline
  get idAndProtocol(): u64 {
    return load<u64>(changetype<usize>(this), FragmentLayout.ID);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkFirstFragment(): void {
  if (offsetof<FirstFragment>("source") != FragmentLayout.SOURCE) ERROR("FirstFragment.source is misplaced");
  if (offsetof<FirstFragment>("destination") != FragmentLayout.DESTINATION)
    ERROR("FirstFragment.destination is misplaced");
  if (offsetof<FirstFragment>("sender") != FragmentLayout.SENDER) ERROR("FirstFragment.sender is misplaced");
  if (offsetof<FirstFragment>("id") != FragmentLayout.ID) ERROR("FirstFragment.id is misplaced");
  if (offsetof<FirstFragment>("protocol") != FragmentLayout.PROTOCOL) ERROR("FirstFragment.protocol is misplaced");
  if (offsetof<FirstFragment>("node") != FragmentLayout.NODE) ERROR("FirstFragment.node is misplaced");
  if (offsetof<FirstFragment>("sinceMs") != FragmentLayout.SINCE_MS) ERROR("FirstFragment.sinceMs is misplaced");
  if (offsetof<FirstFragment>("newSource") != FragmentLayout.NEW_SOURCE) ERROR("FirstFragment.newSource is misplaced");
  if (offsetof<FirstFragment>("newDestination") != FragmentLayout.NEW_DESTINATION)
    ERROR("FirstFragment.newDestination is misplaced");
  if (offsetof<FirstFragment>("bucket") != FragmentLayout.BUCKET) ERROR("FirstFragment.bucket is misplaced");
  if (offsetof<FirstFragment>("next") != FragmentLayout.NEXT) ERROR("FirstFragment.next is misplaced");
  if (offsetof<FirstFragment>("owner") != FragmentLayout.OWNER) ERROR("FirstFragment.owner is misplaced");
}
