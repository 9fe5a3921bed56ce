// A row of packets that wait, as a type. What each field means is said in shared/layout.ts, which places it; the compiler holds the
// fields to these places.

import { WAITING_BYTES, WAITING_COUNT, WAITING_FIRST, WAITING_LAST } from "../shared/layout.ts";

@unmanaged
export class WaitingRow {
  first: u32;
  last: u32;
  count: u32;
  bytes: u32;

  @inline
  static at(address: usize): WaitingRow {
    return changetype<WaitingRow>(address);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkWaitingRow(): void {
  if (offsetof<WaitingRow>("first") != WAITING_FIRST) ERROR("WaitingRow.first is not at WAITING_FIRST");
  if (offsetof<WaitingRow>("last") != WAITING_LAST) ERROR("WaitingRow.last is not at WAITING_LAST");
  if (offsetof<WaitingRow>("count") != WAITING_COUNT) ERROR("WaitingRow.count is not at WAITING_COUNT");
  if (offsetof<WaitingRow>("bytes") != WAITING_BYTES) ERROR("WaitingRow.bytes is not at WAITING_BYTES");
}
