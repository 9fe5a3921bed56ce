// struct mmsghdr of 64-bit Linux, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import {
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_FLAGS,
  MMSGHDR_FRAGMENTS,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_LENGTH,
  MMSGHDR_NAME,
  MMSGHDR_NAME_LENGTH,
} from "../shared/layout.ts";

@unmanaged
export class Mmsghdr {
  name: u64;
  nameLength: u32;
  private gap0: u32;
  iov: u64;
  iovCount: u64;
  control: u64;
  controlLength: u64;
  flags: u32;
  private gap1: u32;
  length: u32;
  fragments: u32;

  @inline
  static at(address: usize): Mmsghdr {
    return changetype<Mmsghdr>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkMmsghdr(): void {
  if (offsetof<Mmsghdr>("name") != MMSGHDR_NAME) ERROR("Mmsghdr.name is not at MMSGHDR_NAME");
  if (offsetof<Mmsghdr>("nameLength") != MMSGHDR_NAME_LENGTH) ERROR("Mmsghdr.nameLength is not at MMSGHDR_NAME_LENGTH");
  if (offsetof<Mmsghdr>("iov") != MMSGHDR_IOV) ERROR("Mmsghdr.iov is not at MMSGHDR_IOV");
  if (offsetof<Mmsghdr>("iovCount") != MMSGHDR_IOV_COUNT) ERROR("Mmsghdr.iovCount is not at MMSGHDR_IOV_COUNT");
  if (offsetof<Mmsghdr>("control") != MMSGHDR_CONTROL) ERROR("Mmsghdr.control is not at MMSGHDR_CONTROL");
  if (offsetof<Mmsghdr>("controlLength") != MMSGHDR_CONTROL_LENGTH)
    ERROR("Mmsghdr.controlLength is not at MMSGHDR_CONTROL_LENGTH");
  if (offsetof<Mmsghdr>("flags") != MMSGHDR_FLAGS) ERROR("Mmsghdr.flags is not at MMSGHDR_FLAGS");
  if (offsetof<Mmsghdr>("length") != MMSGHDR_LENGTH) ERROR("Mmsghdr.length is not at MMSGHDR_LENGTH");
  if (offsetof<Mmsghdr>("fragments") != MMSGHDR_FRAGMENTS) ERROR("Mmsghdr.fragments is not at MMSGHDR_FRAGMENTS");
}
