// An entry of the TUN transmit queue, as a type. shared/layout/worker.ts says what each field means. The compiler holds
// the fields to their places.

import * as WorkerLayout from "../shared/layout/worker.ts";

@unmanaged
export class TunWrite {
  iov: u64;
  iovCount: u32;
  packets: u32;

  @inline
  static at(address: usize): TunWrite {
    return changetype<TunWrite>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkTunWrite(): void {
  if (offsetof<TunWrite>("iov") != WorkerLayout.TUN_TX_IOV) ERROR("TunWrite.iov is misplaced");
  if (offsetof<TunWrite>("iovCount") != WorkerLayout.TUN_TX_IOV_COUNT) ERROR("TunWrite.iovCount is misplaced");
  if (offsetof<TunWrite>("packets") != WorkerLayout.TUN_TX_PACKETS) ERROR("TunWrite.packets is misplaced");
}
