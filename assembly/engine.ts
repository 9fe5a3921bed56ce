// Entry of the engine module: everything that is done per packet. Exports as src/dataplane/modules/engine-contract.ts
// says. Allocates nothing and keeps no state outside the shared memory that another call or another engine would miss.

import { count, countEgressDrop } from "./area/count.ts";
import { enter, leave } from "./area/generation.ts";
import { attachRegions } from "./area/regions.ts";
import { clearNotes, isNoting } from "./area/verdict-notes.ts";
import { forgetCallers } from "./ask/callers.ts";
import { forgetRefused, learnRefusals, setUnparking } from "./ask/park.ts";
import { allowPortTries } from "./flow/wire-port.ts";
import { ingressMessage, messagePackets } from "./forward/incoming.ts";
import { egressFrame, framePackets, noteFrameVerdict, prefetchFrames } from "./forward/outgoing.ts";
import { attachPacket, startPacketNote } from "./forward/packet-in-hand.ts";
import { unparkAll } from "./forward/parked.ts";
import { takePathError } from "./measure/path-error.ts";
import { queueProbes } from "./measure/probe.ts";
import { dropOrphans } from "./nat/later-fragment.ts";
import { finishFrame } from "./offload/coalesce.ts";
import { emptyQueues, hasRoom } from "./queue/arena.ts";
import { frameAt, frameLength, prepareReceive } from "./queue/received.ts";
import { closeMessage, destinationOf, splitMessage } from "./queue/udp.ts";
import { FRAGMENTS, freeReleased, rowOf } from "./queue/waiting.ts";
import * as Header from "./record/header.ts";
import { Counter } from "./shared/counters.ts";
import * as NodeLayout from "./shared/layout/node.ts";
import { LAYOUT_VERSION } from "./shared/layout/version.ts";
import { DropReason } from "./shared/verdicts.ts";
import { forgetStale } from "./table/first-fragment.ts";
import { sweep as sweepFlows } from "./table/flow.ts";
import { settleLimbo } from "./table/flow-record.ts";
import { endpointAt, isSameEndpoint, refuseGso } from "./table/node.ts";
import { isWorthwhile } from "./table/prefetch.ts";

// errno of a send that UDP_SEGMENT made impossible (asm-generic/errno-base.h, errno.h)
const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;

export function layoutVersion(): u32 {
  return LAYOUT_VERSION;
}

export function attach(worker: u32, memoryBase: u64): void {
  attachRegions(worker, memoryBase);
  attachPacket();
  prepareReceive();
}

export function egress(first: u32, end: u32, nowUs: f64): u32 {
  const nowMs = begin(nowUs);
  if (isWorthwhile()) prefetchFrames(first, end);
  let slot = first;
  for (; slot < end; slot++) {
    const at = frameAt(slot);
    const length = frameLength(slot);
    if (!hasRoom(framePackets(at, length))) break;
    if (isNoting) startPacketNote();
    const reason = egressFrame(at, length, nowMs);
    if (reason != DropReason.none) countEgressDrop(reason, 1);
    if (isNoting) noteFrameVerdict(at, length, reason);
  }
  leave();
  return slot;
}

export function ingress(first: u32, end: u32, nowUs: f64): u32 {
  const nowMs = begin(nowUs);
  let slot = first;
  for (; slot < end && hasRoom(messagePackets(slot)); slot++) ingressMessage(slot, nowUs, nowMs);
  finishFrame();
  leave();
  return slot;
}

export function probe(nowUs: f64): u32 {
  const queued = queueProbes(nowUs, begin(nowUs));
  leave();
  return queued;
}

export function sweep(nowUs: f64, budget: u32): u32 {
  enter();
  settleLimbo();
  const nowMs = milliseconds(nowUs);
  const ended = sweepFlows(nowMs, budget);
  if (rowOf(FRAGMENTS).count != 0) dropOrphans(nowMs);
  forgetStale(nowMs);
  forgetRefused(nowMs);
  forgetCallers(nowMs);
  leave();
  return ended;
}

export function unpark(nowUs: f64): u32 {
  const nowMs = begin(nowUs);
  learnRefusals(nowMs);
  setUnparking(true);
  const left = unparkAll(nowMs);
  setUnparking(false);
  leave();
  return left;
}

export function udpRejected(message: u32, errno: u32): u32 {
  if (errno != EIO && errno != EINVAL && errno != EMSGSIZE) return 0;
  const singles = splitMessage(message);
  if (singles == 0) return 0;
  count(Counter.gsoRefused, 1);
  if (errno == EMSGSIZE) return singles; // pathError() tells the size
  const destination = destinationOf(message);
  const nodes = Header.nodeCount.value;
  for (let node: u32 = NodeLayout.LOCAL + 1; node < nodes; node++) {
    if (!isSameEndpoint(endpointAt(node), destination)) continue;
    refuseGso(node);
    break;
  }
  return singles;
}

export function pathError(errno: u32, origin: u32, mtu: u32, quoted: u32): void {
  enter();
  takePathError(errno, origin, mtu, quoted);
  leave();
}

function begin(nowUs: f64): u32 {
  enter();
  settleLimbo();
  emptyQueues();
  clearNotes();
  closeMessage();
  freeReleased();
  allowPortTries();
  const nowMs = milliseconds(nowUs);
  if (rowOf(FRAGMENTS).count != 0) dropOrphans(nowMs);
  return nowMs;
}

/** Wraps after 49 days; ages are differences, which do not mind. */
function milliseconds(nowUs: f64): u32 {
  return <u32>(<u64>(nowUs / 1000));
}
