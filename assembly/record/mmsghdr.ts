// struct mmsghdr of 64-bit Linux, as a type. shared/layout/kernel.ts says what each field means. The compiler holds the
// fields to their places.

import * as KernelLayout from "../shared/layout/kernel.ts";

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
  if (offsetof<Mmsghdr>("name") != KernelLayout.MMSGHDR_NAME) ERROR("Mmsghdr.name is misplaced");
  if (offsetof<Mmsghdr>("nameLength") != KernelLayout.MMSGHDR_NAME_LENGTH) ERROR("Mmsghdr.nameLength is misplaced");
  if (offsetof<Mmsghdr>("iov") != KernelLayout.MMSGHDR_IOV) ERROR("Mmsghdr.iov is misplaced");
  if (offsetof<Mmsghdr>("iovCount") != KernelLayout.MMSGHDR_IOV_COUNT) ERROR("Mmsghdr.iovCount is misplaced");
  if (offsetof<Mmsghdr>("control") != KernelLayout.MMSGHDR_CONTROL) ERROR("Mmsghdr.control is misplaced");
  if (offsetof<Mmsghdr>("controlLength") != KernelLayout.MMSGHDR_CONTROL_LENGTH)
    ERROR("Mmsghdr.controlLength is misplaced");
  if (offsetof<Mmsghdr>("flags") != KernelLayout.MMSGHDR_FLAGS) ERROR("Mmsghdr.flags is misplaced");
  if (offsetof<Mmsghdr>("length") != KernelLayout.MMSGHDR_LENGTH) ERROR("Mmsghdr.length is misplaced");
  if (offsetof<Mmsghdr>("fragments") != KernelLayout.MMSGHDR_FRAGMENTS) ERROR("Mmsghdr.fragments is misplaced");
}
