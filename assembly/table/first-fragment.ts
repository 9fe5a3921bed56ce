// What became of the first fragments of packets. The others have no ports, and become the same. Nothing is reassembled,
// so that overlapping, endless and missing fragments cost nothing but the place of one record.

import { count } from "../area/count.ts";
import { workerAt } from "../area/regions.ts";
import { Counter } from "../shared/counters.ts";
import {
  FRAGMENT_BUCKET,
  FRAGMENT_DESTINATION,
  FRAGMENT_ID,
  FRAGMENT_KEY_SIZE,
  FRAGMENT_MAX,
  FRAGMENT_NEW_DESTINATION,
  FRAGMENT_NEW_SOURCE,
  FRAGMENT_NEXT,
  FRAGMENT_NODE,
  FRAGMENT_OWNER,
  FRAGMENT_PROTOCOL,
  FRAGMENT_SENDER,
  FRAGMENT_SINCE_MS,
  FRAGMENT_SIZE,
  FRAGMENT_SOURCE,
  WORKER_AGE_CURSOR,
  WORKER_FRAGMENT_HEADS,
  WORKER_FRAGMENT_KEY,
  WORKER_FRAGMENT_NEXT,
  WORKER_FRAGMENTS,
} from "../shared/layout.ts";
import { Packet } from "../wire/packet.ts";
import { sameAddress } from "./address.ts";
import { flowHash } from "./hash.ts";

/** As long as Linux waits for the rest of a packet. */
const REMEMBERED_MS: u32 = 30_000;
/** Records of which one makes place when none is free. They are far from each other: neighbours came in one burst. */
const SAMPLE: u32 = 16;
const SAMPLE_STEP: u32 = FRAGMENT_MAX / SAMPLE;
/** Records that one sweep looks at. */
const FORGET_STEPS: u32 = 64;

/** Writes the key of a fragment to WORKER_FRAGMENT_KEY. `sender` is the node that it came from, LOCAL_NODE = the TUN. */
export function describeFragment(packet: Packet, sender: u32): void {
  const key = fragmentKey();
  v128.store(key, packet.source, FRAGMENT_SOURCE);
  v128.store(key, packet.destination, FRAGMENT_DESTINATION);
  store<u32>(key, sender, FRAGMENT_SENDER);
  store<u32>(key, packet.fragmentId, FRAGMENT_ID);
  // RFC 8200 section 4.5: only the first fragment's counts. RFC 791: part of what tells packets apart.
  store<u32>(key, packet.isIpv4 ? <u32>packet.protocol : 0, FRAGMENT_PROTOCOL);
}

export function fragmentKey(): usize {
  return workerAt + WORKER_FRAGMENT_KEY;
}

/** Whether two keys are those of fragments of one packet. */
export function sameFragmentKey(a: usize, b: usize): bool {
  return (
    load<u64>(a, FRAGMENT_ID) == load<u64>(b, FRAGMENT_ID) &&
    sameAddress(v128.load(a, FRAGMENT_SOURCE), v128.load(b, FRAGMENT_SOURCE)) &&
    sameAddress(v128.load(a, FRAGMENT_DESTINATION), v128.load(b, FRAGMENT_DESTINATION)) &&
    load<u32>(a, FRAGMENT_SENDER) == load<u32>(b, FRAGMENT_SENDER)
  );
}

/** The first fragment with the described key, or 0 if it did not come or was forgotten. */
export function findFirst(nowMs: u32): usize {
  const record = find(fragmentKey());
  return record != 0 && isFresh(record, nowMs) ? record : 0;
}

/** Notes that the described first fragment, of `owner`, was translated to what the packet is now, and sent to `node`. */
export function noteFirst(packet: Packet, owner: u32, node: u32, nowMs: u32): usize {
  let record = findFirst(nowMs); // a repetition
  if (record == 0) record = makePlace(nowMs);
  store<u32>(record, owner, FRAGMENT_OWNER);
  store<u32>(record, node, FRAGMENT_NODE);
  store<u32>(record, nowMs, FRAGMENT_SINCE_MS);
  v128.store(record, packet.source, FRAGMENT_NEW_SOURCE);
  v128.store(record, packet.destination, FRAGMENT_NEW_DESTINATION);
  return record;
}

/** Forgets what is not fresh any more among the next records, so that no age is ever so large that it wraps. */
export function forgetStale(nowMs: u32): void {
  let index = load<u32>(workerAt, WORKER_AGE_CURSOR) % FRAGMENT_MAX;
  for (let i: u32 = 0; i < FORGET_STEPS; i++) {
    const record = recordAt(index);
    if (load<u32>(record, FRAGMENT_OWNER) != 0 && !isFresh(record, nowMs)) unlink(index);
    index = (index + 1) % FRAGMENT_MAX;
  }
  store<u32>(workerAt, index, WORKER_AGE_CURSOR);
}

function find(key: usize): usize {
  let next: u32 = load<u16>(headAt(bucketOf(key)));
  for (let i: u32 = 0; next != 0 && i < <u32>FRAGMENT_MAX; i++) {
    const record = recordAt(next - 1);
    if (sameFragmentKey(record, key)) return record;
    next = load<u16>(record, FRAGMENT_NEXT);
  }
  return 0;
}

/** A record with the described key, in its list. If need be another one is forgotten. */
function makePlace(nowMs: u32): usize {
  const cursor = load<u32>(workerAt, WORKER_FRAGMENT_NEXT) % FRAGMENT_MAX;
  store<u32>(workerAt, (cursor + 1) % FRAGMENT_MAX, WORKER_FRAGMENT_NEXT);
  const index = choosePlace(cursor, nowMs);
  const record = recordAt(index);
  if (load<u32>(record, FRAGMENT_OWNER) != 0) {
    if (isFresh(record, nowMs)) count(Counter.fragmentsForgotten, 1);
    unlink(index);
  }
  memory.copy(record, fragmentKey(), FRAGMENT_KEY_SIZE);
  const bucket = bucketOf(record);
  const head = headAt(bucket);
  store<u16>(record, <u16>bucket, FRAGMENT_BUCKET);
  store<u16>(record, load<u16>(head), FRAGMENT_NEXT);
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
    const index = (cursor + i * SAMPLE_STEP) % FRAGMENT_MAX;
    const record = recordAt(index);
    const owner = load<u32>(record, FRAGMENT_OWNER);
    if (owner == 0 || !isFresh(record, nowMs)) return index;
    let ofOwner: u64 = 0;
    for (let j: u32 = 0; j < SAMPLE; j++) {
      if (load<u32>(recordAt((cursor + j * SAMPLE_STEP) % FRAGMENT_MAX), FRAGMENT_OWNER) == owner) ofOwner++;
    }
    const rank = (ofOwner << 32) | (nowMs - load<u32>(record, FRAGMENT_SINCE_MS));
    if (i != 0 && rank <= bestRank) continue;
    best = index;
    bestRank = rank;
  }
  return best;
}

/** Takes a record out of its list; it is free then. */
function unlink(index: u32): void {
  const record = recordAt(index);
  store<u32>(record, 0, FRAGMENT_OWNER);
  let at = headAt(load<u16>(record, FRAGMENT_BUCKET));
  for (let i: u32 = 0; i < <u32>FRAGMENT_MAX; i++) {
    const next: u32 = load<u16>(at);
    if (next == 0) return;
    if (next == index + 1) return store<u16>(at, load<u16>(record, FRAGMENT_NEXT));
    at = recordAt(next - 1) + FRAGMENT_NEXT;
  }
}

function isFresh(record: usize, nowMs: u32): bool {
  return nowMs - load<u32>(record, FRAGMENT_SINCE_MS) < REMEMBERED_MS;
}

function bucketOf(key: usize): u32 {
  const source = v128.load(key, FRAGMENT_SOURCE);
  const destination = v128.load(key, FRAGMENT_DESTINATION);
  const hash = flowHash(source, destination, load<u32>(key, FRAGMENT_ID), load<u32>(key, FRAGMENT_PROTOCOL));
  return <u32>(hash >>> 32) % FRAGMENT_MAX;
}

function headAt(bucket: u32): usize {
  return workerAt + WORKER_FRAGMENT_HEADS + (bucket << 1);
}

function recordAt(index: u32): usize {
  return workerAt + WORKER_FRAGMENTS + <usize>index * FRAGMENT_SIZE;
}
