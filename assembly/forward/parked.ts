// Sends or drops parked frames, when their address is known, is refused, or was asked for long enough.

import { answerDrop } from "../answer/icmp-error.ts";
import { countEgressDrop } from "../area/count.ts";
import { isDenied, isGivenUp } from "../ask/park.ts";
import { endDenied } from "../nat/egress.ts";
import { hasRoom } from "../queue/arena.ts";
import { PARKED, release, rowOf, waitingAt, waitingRecord } from "../queue/waiting.ts";
import { Held } from "../record/waiting.ts";
import * as WaitingLayout from "../shared/layout/waiting.ts";
import { DropReason } from "../shared/verdicts.ts";
import * as Virtio from "../shared/virtio.ts";
import { findService } from "../table/address.ts";
import { egressFrame, framePackets } from "./outgoing.ts";
import { packet } from "./packet-in-hand.ts";

/** Handles the parked packets that need not wait any longer; returns how many of them found no room in the queues. */
export function unparkAll(nowMs: u32): u32 {
  let number = rowOf(PARKED).first;
  for (let left = rowOf(PARKED).count; left != 0; left--) {
    const record = waitingRecord(number);
    const next = Held.at(record).next;
    const at = waitingAt(number);
    const length = Held.at(record).length;
    const isKnown = findService(record + WaitingLayout.HELD_DESTINATION) != 0;
    if (isKnown || isGivenUp(record, nowMs)) {
      if (!hasRoom(framePackets(at, length))) return rowOf(PARKED).count;
      release(PARKED, number);
      const reason = isKnown ? egressFrame(at, length, nowMs) : giveUp(at, length, nowMs);
      if (reason != DropReason.none) countEgressDrop(reason, 1);
    }
    number = next;
  }
  return 0;
}

/** Tells the client of a parked packet that there is no such address, or that nobody knows it. */
function giveUp(at: usize, length: u32, nowMs: u32): DropReason {
  packet.parse(<u32>at + Virtio.SIZE, length - Virtio.SIZE);
  const reason = isDenied(packet.destinationAt, nowMs) ? endDenied(packet) : DropReason.unknownAddress;
  answerDrop(packet, reason, 0, nowMs);
  return reason;
}
