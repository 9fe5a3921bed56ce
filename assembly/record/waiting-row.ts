// A row of packets that wait, as a type. shared/layout/waiting.ts says what each field means. The compiler holds the
// fields to their places.

import * as WaitingLayout from "../shared/layout/waiting.ts";

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
  if (offsetof<WaitingRow>("first") != WaitingLayout.ROW_FIRST) ERROR("WaitingRow.first is misplaced");
  if (offsetof<WaitingRow>("last") != WaitingLayout.ROW_LAST) ERROR("WaitingRow.last is misplaced");
  if (offsetof<WaitingRow>("count") != WaitingLayout.ROW_COUNT) ERROR("WaitingRow.count is misplaced");
  if (offsetof<WaitingRow>("bytes") != WaitingLayout.ROW_BYTES) ERROR("WaitingRow.bytes is misplaced");
}
