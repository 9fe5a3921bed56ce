// What the ECN field of an outer header means for the packet inside (RFC 6040 section 4.2).
//
//   inside \ outer   Not-ECT    ECT(0)     ECT(1)     CE
//   Not-ECT          Not-ECT    Not-ECT    Not-ECT    dropped
//   ECT(0)           ECT(0)     ECT(0)     ECT(1)     CE
//   ECT(1)           ECT(1)     ECT(1)     ECT(1)     CE
//   CE               CE         CE         CE         CE

import { count } from "../area/count.ts";
import { update, wordDelta } from "../checksum/incremental.ts";
import { Counter } from "../shared/counters.ts";
import * as Ecn from "../shared/ecn.ts";
import { DropReason } from "../shared/verdicts.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { setEcn, trafficClassAt } from "../wire/traffic-class.ts";

/** Gives the IP packet at `at` what the outer header's ECN field says, or tells why it is dropped. */
export function takeOuterEcn(at: usize, outer: u32): DropReason {
  const inner = trafficClassAt(at) & Ecn.MASK;
  if (outer == Ecn.CE) {
    // Its sender does not know CE: a loss is the only signal that it understands.
    if (inner == Ecn.NOT_ECT) return DropReason.congestionExperienced;
    if (inner == Ecn.CE) return DropReason.none;
    changeEcn(at, Ecn.CE);
    count(Counter.ecnMarked, 1);
  } else if (outer == Ecn.ECT_1 && inner == Ecn.ECT_0) {
    changeEcn(at, Ecn.ECT_1);
  }
  return DropReason.none;
}

function changeEcn(at: usize, ecn: u32): void {
  const before = load<u16>(at);
  setEcn(at, ecn);
  if (load<u8>(at) >>> 4 != 4) return;
  const ip = Ipv4.at(at);
  ip.checksum = update(ip.checksum, wordDelta(before, load<u16>(at)));
}
