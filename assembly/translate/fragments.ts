// Fragments (RFC 791 section 2.3, RFC 8200 section 4.5). The first one of a packet is translated as a whole packet is;
// the others become what it became. Those that overtook it wait for it, within bounds.

import { addressDelta } from "../checksum/incremental.ts";
import { fold } from "../checksum/sum.ts";
import { count, countEgressDrop, countIngressDrop } from "../frame/count.ts";
import { FRAGMENTS, firstWaiting, hold, release, waitingBytes, waitingCount, waitingRecord } from "../frame/hold.ts";
import { Counter } from "../shared/counters.ts";
import {
  FRAGMENT_NEW_DESTINATION,
  FRAGMENT_NEW_SOURCE,
  FRAGMENT_SENDER,
  HELD_NEXT,
  HELD_SINCE_MS,
} from "../shared/layout.ts";
import { DropReason } from "../shared/verdicts.ts";
import { isNoAddress, isV4Mapped } from "../table/address.ts";
import { fragmentKey, sameFragmentKey } from "../table/first-fragment.ts";
import { Packet } from "../wire/packet.ts";
import { canChangeFamily, changeFamily } from "./family.ts";
import { rewrite } from "./rewrite.ts";

const HELD_MAX: u32 = 64;
const HELD_BYTES_MAX: u32 = 262_144;
const HELD_PER_PACKET: u32 = 16;
/** A first fragment that late is not coming. */
const HELD_MS: u32 = 1000;

/** Gives a later fragment the ends of the first one that was noted. `isReceived`: it came from the tunnel. */
export function translateLater(packet: Packet, first: usize, isReceived: bool): DropReason {
  const source = v128.load(first, FRAGMENT_NEW_SOURCE);
  const destination = v128.load(first, FRAGMENT_NEW_DESTINATION);
  if (isV4Mapped(source) != packet.isIpv4) {
    const refused = canChangeFamily(packet);
    if (refused != DropReason.none) return refused;
    changeFamily(packet, 1, 0, isReceived && packet.isIpv4); // as in translateIngress()
  }
  const delta = addressDelta(packet.source, source) + addressDelta(packet.destination, destination);
  rewrite(packet, source, destination, packet.ports, fold(delta), false);
  return DropReason.none;
}

/** Keeps the described fragment until its first one comes. */
export function holdFragment(packet: Packet, nowMs: u32): DropReason {
  if (waitingCount(FRAGMENTS) == HELD_MAX || waitingBytes(FRAGMENTS) + packet.length > HELD_BYTES_MAX) {
    return DropReason.holdFull;
  }
  const key = fragmentKey();
  let ofPacket: u32 = 0;
  for (let number = firstWaiting(FRAGMENTS); number != 0; number = load<u32>(waitingRecord(number), HELD_NEXT)) {
    if (sameFragmentKey(waitingRecord(number), key)) ofPacket++;
  }
  if (ofPacket == HELD_PER_PACKET) return DropReason.holdFull;
  if (!hold(FRAGMENTS, packet, 0, key, nowMs)) return DropReason.holdFull;
  count(Counter.fragmentsHeld, 1);
  return DropReason.none;
}

/** Drops the fragments that have waited in vain. */
export function dropOrphans(nowMs: u32): void {
  for (let number = firstWaiting(FRAGMENTS); number != 0; number = firstWaiting(FRAGMENTS)) {
    const record = waitingRecord(number);
    if (nowMs - load<u32>(record, HELD_SINCE_MS) < HELD_MS) return;
    if (isNoAddress(v128.load(record, FRAGMENT_SENDER))) countEgressDrop(DropReason.fragmentOrphan, 1);
    else countIngressDrop(DropReason.fragmentOrphan, 1);
    release(FRAGMENTS, number, 0);
  }
}
