// An entry of the TUN transmit queue, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { TUN_TX_IOV, TUN_TX_IOV_COUNT, TUN_TX_PACKETS } from "../shared/layout.ts";

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
  if (offsetof<TunWrite>("iov") != TUN_TX_IOV) ERROR("TunWrite.iov is not at TUN_TX_IOV");
  if (offsetof<TunWrite>("iovCount") != TUN_TX_IOV_COUNT) ERROR("TunWrite.iovCount is not at TUN_TX_IOV_COUNT");
  if (offsetof<TunWrite>("packets") != TUN_TX_PACKETS) ERROR("TunWrite.packets is not at TUN_TX_PACKETS");
}
