// Fragments (RFC 791 section 2.3, RFC 8200 section 4.5). The first one of a packet is translated as a whole packet is;
// the others are translated as it was. Those that overtook it wait for it, within bounds.

import { count, countEgressDrop, countIngressDrop } from "../area/count.ts";
import { addressDelta } from "../checksum/incremental.ts";
import { fold } from "../checksum/sum.ts";
import { canChangeFamily, changeFamily } from "../family/header.ts";
import { largestOwner, NO_OWNER } from "../queue/shares.ts";
import { blocksOf, discard, FRAGMENTS, hold, rowOf, waitingRecord } from "../queue/waiting.ts";
import { FirstFragment } from "../record/fragment.ts";
import { Held } from "../record/waiting.ts";
import { Counter } from "../shared/counters.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import { DropReason } from "../shared/verdicts.ts";
import { isV4Mapped } from "../table/address.ts";
import { fragmentKey, sameFragmentKey } from "../table/first-fragment.ts";
import { Packet } from "../wire/packet.ts";
import { rewrite } from "./rewrite.ts";

const HELD_MAX: u32 = 64;
const HELD_BYTES_MAX: u32 = 262_144;
const HELD_PER_PACKET: u32 = 16;
/** A first fragment that late is not coming. */
const HELD_MS: u32 = 1000;

/** Gives a later fragment the ends of the first one that was noted. `isReceived`: it came from the tunnel. */
export function translateLater(packet: Packet, first: usize, isReceived: bool): DropReason {
  const source = FirstFragment.at(first).newSource;
  const destination = FirstFragment.at(first).newDestination;
  if (isV4Mapped(source) != packet.isIpv4) {
    const refused = canChangeFamily(packet);
    if (refused != DropReason.none) return refused;
    changeFamily(packet, 1, 0, isReceived && packet.isIpv4); // as in translateIngress()
  }
  const delta = addressDelta(packet.source, source) + addressDelta(packet.destination, destination);
  rewrite(packet, source, destination, packet.ports, fold(delta), false);
  return DropReason.none;
}

/** Keeps the described fragment of `owner` until its first one comes. */
export function holdFragment(packet: Packet, owner: u32, nowMs: u32): DropReason {
  const key = fragmentKey();
  let ofPacket: u32 = 0;
  let number = rowOf(FRAGMENTS).first;
  for (let left = rowOf(FRAGMENTS).count; left != 0; left--) {
    const record = waitingRecord(number);
    number = Held.at(record).next;
    if (sameFragmentKey(record, key)) ofPacket++;
  }
  if (ofPacket == HELD_PER_PACKET || packet.length > HELD_BYTES_MAX) return DropReason.holdFull;
  while (isFull(packet.length) || !hold(FRAGMENTS, packet, 0, key, owner, nowMs)) {
    if (!crowdOut(owner, blocksOf(packet.length))) return DropReason.holdFull;
  }
  count(Counter.fragmentsHeld, 1);
  return DropReason.none;
}

function isFull(length: u32): bool {
  return rowOf(FRAGMENTS).count == HELD_MAX || rowOf(FRAGMENTS).bytes + length > HELD_BYTES_MAX;
}

/** Drops the oldest fragment of the owner that has most, if that is more than `owner` would have. */
function crowdOut(owner: u32, blocks: u32): bool {
  const largest = largestOwner(FRAGMENTS, owner, blocks, i64x2.splat(0));
  if (largest == NO_OWNER) return false;
  let number = rowOf(FRAGMENTS).first;
  for (let left = rowOf(FRAGMENTS).count; left != 0; left--) {
    const record = waitingRecord(number);
    if (Held.at(record).owner == largest) {
      drop(number, DropReason.holdFull);
      return true;
    }
    number = Held.at(record).next;
  }
  return false;
}

/** Drops the fragments whose first one did not come in time. */
export function dropOrphans(nowMs: u32): void {
  for (let left = rowOf(FRAGMENTS).count; left != 0; left--) {
    const number = rowOf(FRAGMENTS).first;
    if (nowMs - Held.at(waitingRecord(number)).sinceMs < HELD_MS) return;
    drop(number, DropReason.fragmentOrphan);
  }
}

function drop(number: u32, reason: DropReason): void {
  if (FirstFragment.at(waitingRecord(number)).sender == NodeLayout.LOCAL) countEgressDrop(reason, 1);
  else countIngressDrop(reason, 1);
  discard(FRAGMENTS, number);
}
