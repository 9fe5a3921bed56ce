// How the first fragments of packets were translated and sent. The others have no ports, and are treated alike. Nothing
// is reassembled, so that overlapping, endless and missing fragments cost nothing but the place of one record.

import { count } from "../area/count.ts";
import { workerAt } from "../area/regions.ts";
import { FirstFragment } from "../record/fragment.ts";
import { WorkerArea } from "../record/worker.ts";
import { Counter } from "../shared/counters.ts";
import * as FragmentLayout from "../shared/layout/fragment.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { Packet } from "../wire/packet.ts";
import { sameAddress } from "./address.ts";
import { flowHash } from "./hash.ts";

/** As long as Linux waits for the rest of a packet. */
const REMEMBERED_MS: u32 = 30_000;
/** Records of which one is given up when none is free. They are far from each other: neighbours came in one burst. */
const SAMPLE: u32 = 16;
const SAMPLE_STEP: u32 = FragmentLayout.MAX / SAMPLE;
/** Records that one sweep looks at. */
const FORGET_STEPS: u32 = 64;

/**
 * Writes the key of a fragment to WorkerLayout.FRAGMENT_KEY. `sender` is the node that it came from, NodeLayout.LOCAL =
 * the TUN.
 */
export function describeFragment(packet: Packet, sender: u32): void {
  const key = fragmentKey();
  FirstFragment.at(key).source = packet.source;
  FirstFragment.at(key).destination = packet.destination;
  FirstFragment.at(key).sender = sender;
  FirstFragment.at(key).id = packet.fragmentId;
  // RFC 8200 section 4.5: only the first fragment's counts. RFC 791: part of what tells packets apart.
  FirstFragment.at(key).protocol = packet.isIpv4 ? <u32>packet.protocol : 0;
}

export function fragmentKey(): usize {
  return workerAt + WorkerLayout.FRAGMENT_KEY;
}

/** Whether two keys are those of fragments of one packet. */
export function sameFragmentKey(a: usize, b: usize): bool {
  return (
    FirstFragment.at(a).idAndProtocol == FirstFragment.at(b).idAndProtocol &&
    sameAddress(FirstFragment.at(a).source, FirstFragment.at(b).source) &&
    sameAddress(FirstFragment.at(a).destination, FirstFragment.at(b).destination) &&
    FirstFragment.at(a).sender == FirstFragment.at(b).sender
  );
}

/** The first fragment with the described key, or 0 if it did not come or was forgotten. */
export function findFirst(nowMs: u32): usize {
  const record = find(fragmentKey());
  return record != 0 && isFresh(record, nowMs) ? record : 0;
}

/**
 * Notes that the described first fragment, of `owner`, was translated to what the packet is now, and sent to `node`.
 */
export function noteFirst(packet: Packet, owner: u32, node: u32, nowMs: u32): usize {
  let record = findFirst(nowMs); // a repetition
  if (record == 0) record = makePlace(nowMs);
  FirstFragment.at(record).owner = owner;
  FirstFragment.at(record).node = node;
  FirstFragment.at(record).sinceMs = nowMs;
  FirstFragment.at(record).newSource = packet.source;
  FirstFragment.at(record).newDestination = packet.destination;
  return record;
}

/** Forgets what is not fresh any more among the next records, so that no age is ever so large that it wraps. */
export function forgetStale(nowMs: u32): void {
  let index = WorkerArea.at(workerAt).ageCursor % FragmentLayout.MAX;
  for (let i: u32 = 0; i < FORGET_STEPS; i++) {
    const record = recordAt(index);
    if (FirstFragment.at(record).owner != 0 && !isFresh(record, nowMs)) unlink(index);
    index = (index + 1) % FragmentLayout.MAX;
  }
  WorkerArea.at(workerAt).ageCursor = index;
}

function find(key: usize): usize {
  let next: u32 = load<u16>(headAt(bucketOf(key)));
  for (let i: u32 = 0; next != 0 && i < <u32>FragmentLayout.MAX; i++) {
    const record = recordAt(next - 1);
    if (sameFragmentKey(record, key)) return record;
    next = FirstFragment.at(record).next;
  }
  return 0;
}

/** A record with the described key, in its list. If need be another one is forgotten. */
function makePlace(nowMs: u32): usize {
  const cursor = WorkerArea.at(workerAt).fragmentNext % FragmentLayout.MAX;
  WorkerArea.at(workerAt).fragmentNext = (cursor + 1) % FragmentLayout.MAX;
  const index = choosePlace(cursor, nowMs);
  const record = recordAt(index);
  if (FirstFragment.at(record).owner != 0) {
    if (isFresh(record, nowMs)) count(Counter.fragmentsForgotten, 1);
    unlink(index);
  }
  memory.copy(record, fragmentKey(), FragmentLayout.KEY_SIZE);
  const bucket = bucketOf(record);
  const head = headAt(bucket);
  FirstFragment.at(record).bucket = <u16>bucket;
  FirstFragment.at(record).next = load<u16>(head);
  store<u16>(head, <u16>(index + 1));
  return record;
}

/**
 * Of some records the first one that is free or not fresh any more; else the oldest of the owner that has most
 * of them, so that one that fills the table pushes out its own.
 */
function choosePlace(cursor: u32, nowMs: u32): u32 {
  let best = cursor;
  let bestRank: u64 = 0;
  for (let i: u32 = 0; i < SAMPLE; i++) {
    const index = (cursor + i * SAMPLE_STEP) % FragmentLayout.MAX;
    const record = recordAt(index);
    const owner = FirstFragment.at(record).owner;
    if (owner == 0 || !isFresh(record, nowMs)) return index;
    let ofOwner: u64 = 0;
    for (let j: u32 = 0; j < SAMPLE; j++) {
      if (FirstFragment.at(recordAt((cursor + j * SAMPLE_STEP) % FragmentLayout.MAX)).owner == owner) ofOwner++;
    }
    const rank = (ofOwner << 32) | (nowMs - FirstFragment.at(record).sinceMs);
    if (i != 0 && rank <= bestRank) continue;
    best = index;
    bestRank = rank;
  }
  return best;
}

/** Takes a record out of its list; it is free then. */
function unlink(index: u32): void {
  const record = recordAt(index);
  FirstFragment.at(record).owner = 0;
  let at = headAt(FirstFragment.at(record).bucket);
  for (let i: u32 = 0; i < <u32>FragmentLayout.MAX; i++) {
    const next: u32 = load<u16>(at);
    if (next == 0) return;
    if (next == index + 1) return store<u16>(at, FirstFragment.at(record).next);
    at = recordAt(next - 1) + FragmentLayout.NEXT;
  }
}

function isFresh(record: usize, nowMs: u32): bool {
  return nowMs - FirstFragment.at(record).sinceMs < REMEMBERED_MS;
}

function bucketOf(key: usize): u32 {
  const source = FirstFragment.at(key).source;
  const destination = FirstFragment.at(key).destination;
  const hash = flowHash(source, destination, FirstFragment.at(key).id, FirstFragment.at(key).protocol);
  return <u32>(hash >>> 32) % FragmentLayout.MAX;
}

function headAt(bucket: u32): usize {
  return workerAt + WorkerLayout.FRAGMENT_HEADS + (bucket << 1);
}

function recordAt(index: u32): usize {
  return workerAt + WorkerLayout.FRAGMENTS + <usize>index * FragmentLayout.SIZE;
}
