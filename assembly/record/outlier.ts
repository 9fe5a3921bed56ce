// What the openings of flows met, as a type. shared/layout/outlier.ts says what each field means. The compiler holds the
// fields to their places.

import * as OutlierLayout from "../shared/layout/outlier.ts";

@unmanaged
export class Outlier {
  private key: u64;
  incarnation: u32;
  usedMs: u32;
  failures: u8;
  cause: u8;
  hasAnswered: bool;
  clientCount: u8;
  firstClient: u32;
  secondClient: u32;

  @inline
  static at(address: usize): Outlier {
    return changetype<Outlier>(address);
  }

  @inline
  loadKey(): u64 {
    return atomic.load<u64>(changetype<usize>(this), OutlierLayout.KEY);
  }

  @inline
  storeKey(value: u64): void {
    atomic.store<u64>(changetype<usize>(this), value, OutlierLayout.KEY);
  }
}

/** Ends the compilation when a field is not at its place. */
export function checkOutlier(): void {
  if (offsetof<Outlier>("key") != OutlierLayout.KEY) ERROR("Outlier.key is misplaced");
  if (offsetof<Outlier>("incarnation") != OutlierLayout.INCARNATION) ERROR("Outlier.incarnation is misplaced");
  if (offsetof<Outlier>("usedMs") != OutlierLayout.USED_MS) ERROR("Outlier.usedMs is misplaced");
  if (offsetof<Outlier>("failures") != OutlierLayout.FAILURES) ERROR("Outlier.failures is misplaced");
  if (offsetof<Outlier>("cause") != OutlierLayout.CAUSE) ERROR("Outlier.cause is misplaced");
  if (offsetof<Outlier>("hasAnswered") != OutlierLayout.HAS_ANSWERED) ERROR("Outlier.hasAnswered is misplaced");
  if (offsetof<Outlier>("clientCount") != OutlierLayout.CLIENT_COUNT) ERROR("Outlier.clientCount is misplaced");
  if (offsetof<Outlier>("firstClient") != OutlierLayout.FIRST_CLIENT) ERROR("Outlier.firstClient is misplaced");
  if (offsetof<Outlier>("secondClient") != OutlierLayout.SECOND_CLIENT) ERROR("Outlier.secondClient is misplaced");
}
