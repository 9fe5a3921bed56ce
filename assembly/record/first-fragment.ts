// What became of a first fragment, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  FRAGMENT_BUCKET,
  FRAGMENT_DESTINATION,
  FRAGMENT_ID,
  FRAGMENT_NEW_DESTINATION,
  FRAGMENT_NEW_SOURCE,
  FRAGMENT_NEXT,
  FRAGMENT_NODE,
  FRAGMENT_OWNER,
  FRAGMENT_PROTOCOL,
  FRAGMENT_SENDER,
  FRAGMENT_SINCE_MS,
  FRAGMENT_SOURCE,
} from "../shared/layout.ts";

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
    return load<u64>(changetype<usize>(this), FRAGMENT_ID);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkFirstFragment(): void {
  if (offsetof<FirstFragment>("source") != FRAGMENT_SOURCE) ERROR("FirstFragment.source is not at FRAGMENT_SOURCE");
  if (offsetof<FirstFragment>("destination") != FRAGMENT_DESTINATION)
    ERROR("FirstFragment.destination is not at FRAGMENT_DESTINATION");
  if (offsetof<FirstFragment>("sender") != FRAGMENT_SENDER) ERROR("FirstFragment.sender is not at FRAGMENT_SENDER");
  if (offsetof<FirstFragment>("id") != FRAGMENT_ID) ERROR("FirstFragment.id is not at FRAGMENT_ID");
  if (offsetof<FirstFragment>("protocol") != FRAGMENT_PROTOCOL)
    ERROR("FirstFragment.protocol is not at FRAGMENT_PROTOCOL");
  if (offsetof<FirstFragment>("node") != FRAGMENT_NODE) ERROR("FirstFragment.node is not at FRAGMENT_NODE");
  if (offsetof<FirstFragment>("sinceMs") != FRAGMENT_SINCE_MS)
    ERROR("FirstFragment.sinceMs is not at FRAGMENT_SINCE_MS");
  if (offsetof<FirstFragment>("newSource") != FRAGMENT_NEW_SOURCE)
    ERROR("FirstFragment.newSource is not at FRAGMENT_NEW_SOURCE");
  if (offsetof<FirstFragment>("newDestination") != FRAGMENT_NEW_DESTINATION)
    ERROR("FirstFragment.newDestination is not at FRAGMENT_NEW_DESTINATION");
  if (offsetof<FirstFragment>("bucket") != FRAGMENT_BUCKET) ERROR("FirstFragment.bucket is not at FRAGMENT_BUCKET");
  if (offsetof<FirstFragment>("next") != FRAGMENT_NEXT) ERROR("FirstFragment.next is not at FRAGMENT_NEXT");
  if (offsetof<FirstFragment>("owner") != FRAGMENT_OWNER) ERROR("FirstFragment.owner is not at FRAGMENT_OWNER");
}
