// Who has how much of the room in which packets wait. When it is full, an owner that has more than another one would
// have loses its oldest packet for that one. So no owner can take all of the room from others, and each can have all of
// it while no other needs any.

import { workerAt } from "../area/regions.ts";
import { Held, Share } from "../record/waiting.ts";
import * as WaitingLayout from "../shared/layout/waiting.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { isNoAddress, sameAddress } from "../table/address.ts";
import { rowOf, waitingRecord } from "./waiting.ts";

/** No owner: it has nothing of any row. */
export const NO_OWNER: u32 = 0;

/**
 * The owner of most blocks of a row, which has to give up some when `owner` wants `blocks` more; NO_OWNER if no one has
 * as many as `owner` would have then. Only packets to `address` count, unless that is no address.
 */
export function largestOwner(row: usize, owner: u32, blocks: u32, address: v128): u32 {
  memory.fill(sharesAt(), 0, WaitingLayout.SHARE_SIZE * WaitingLayout.SHARE_MAX);
  let largest: usize = 0;
  let number = rowOf(row).first;
  for (let left = rowOf(row).count; left != 0; left--) {
    const record = waitingRecord(number);
    number = Held.at(record).next;
    if (!concerns(record, address)) continue;
    const share = shareOf(Held.at(record).owner);
    Share.at(share).blocks = Share.at(share).blocks + Held.at(record).blocks;
    if (largest == 0 || Share.at(share).blocks > Share.at(largest).blocks) largest = share;
  }
  if (largest == 0) return NO_OWNER;
  const own: u32 = owner == NO_OWNER ? 0 : Share.at(shareOf(owner)).blocks;
  return Share.at(largest).blocks < own + blocks ? NO_OWNER : Share.at(largest).owner;
}

/** Whether a packet that waits goes to this address, or to any if that is no address. */
export function concerns(record: usize, address: v128): bool {
  return isNoAddress(address) || sameAddress(Held.at(record).destination, address);
}

/** Where an owner's share is counted. There are more places than packets can wait, so that one is always found. */
function shareOf(owner: u32): usize {
  const first = (owner * 0x9e3779b1) >>> 16;
  let share: usize = 0;
  for (let i: u32 = 0; i < <u32>WaitingLayout.SHARE_MAX; i++) {
    share = sharesAt() + <usize>((first + i) % WaitingLayout.SHARE_MAX) * WaitingLayout.SHARE_SIZE;
    const found = Share.at(share).owner;
    if (found == owner) return share;
    if (found == NO_OWNER) break;
  }
  Share.at(share).owner = owner;
  return share;
}

function sharesAt(): usize {
  return workerAt + WorkerLayout.SHARES;
}
