// How large a datagram fits the path to a node: found out by probes of different sizes (RFC 8899), so that it is right
// where ICMP errors are filtered, and nobody can forge it. What an ICMP error says is a hint: where to look, and when.
// Whether a size passes is known by its answer; that it does not, by three probes of it that were lost while small ones,
// sent right after each, were answered.

import { count } from "../area/count.ts";
import { Counter } from "../shared/counters.ts";
import {
  HEADER_AT,
  HEADER_TUN_MTU,
  NODE_DEVICE_MTU,
  NODE_GSO_REFUSED,
  NODE_HEALTH,
  NODE_HINT,
  NODE_LARGE_SENT,
  NODE_MTU,
  NODE_PROBES_SENT,
  NODE_SIZE_CHECKED_MS,
  NODE_SIZE_GUESS,
  NODE_SIZE_HIGH,
  NODE_SIZE_HINTED_MS,
  NODE_SIZE_LOW,
  NODE_SIZE_PASSED,
  NODE_SIZE_RAISED_MS,
  NODE_SIZE_STATE,
  NODE_SIZE_TRIAL,
  NODE_SIZE_TRIED_MS,
  NODE_SIZE_TRIES,
  NODE_SIZE_WITNESS,
  NODE_WHOLE,
  NodeHealth,
  SizeSearch,
} from "../shared/layout.ts";
import { UDP_PAYLOAD_MAX } from "../shared/protocols.ts";
import { slowestRttMs } from "./health.ts";
import { isAnswered, probeAgeMs } from "./note.ts";

/** Smaller path MTUs are not believed, as Linux does not (net.ipv4.route.min_pmtu, less the outer headers of IPv6). */
export const SIZE_MIN: u32 = 504;
/** MTU of a TUN that is not known. */
const TUN_MTU_DEFAULT: u32 = 1500;
/** MAX_PROBES of RFC 8899 section 5.1.2. */
const TRIES_MAX: u32 = 3;
/** A datagram that is overtaken by another one arrives by then. */
const REORDER_MS: u32 = 100;
/** A try that nothing is known of by then, nor of the small probe after it, is repeated. */
const WITNESS_MS: u32 = 1000;
/** A path that carries large datagrams is looked at so often: it may have become narrower without a word. */
const CHECK_MS: u32 = 2000;
/** Forged hints cost us no more than a search in so long. */
const HINT_PAUSE_MS: u32 = 10_000;
/** PMTU_RAISE_TIMER of RFC 8899 section 5.1.1, shorter: three lost probes a minute are cheap. */
const RAISE_MS: u32 = 60_000;
/** What a node that answers no probes is said to take is believed so long (net.ipv4.route.mtu_expires). */
const BELIEF_MS: u32 = 600_000;

/** Goes on with the search for a node; returns the size that is to be probed now, 0 = none. */
export function sizeToTry(metrics: usize, ms: u32): u32 {
  const hint = atomic.xchg<u32>(metrics, 0, NODE_HINT);
  const health = load<u32>(metrics, NODE_HEALTH);
  if (health == NodeHealth.unknown) believe(metrics, hint, ms);
  if (health != NodeHealth.reachable) return 0;
  const trial = load<u32>(metrics, NODE_SIZE_TRIAL);
  if (trial == 0) begin(metrics, hint, ms);
  else if (hint != 0) store<u32>(metrics, hint, NODE_SIZE_GUESS);
  settle(metrics, ms);
  return load<u32>(metrics, NODE_SIZE_TRIAL) != 0 && load<u32>(metrics, NODE_SIZE_WITNESS) == 0
    ? load<u32>(metrics, NODE_SIZE_TRIAL)
    : 0;
}

/** The size was sent; the next small probe will show that the path carries something. */
export function noteTry(metrics: usize, ms: u32): void {
  store<u32>(metrics, ms, NODE_SIZE_TRIED_MS);
  store<u32>(metrics, load<u32>(metrics, NODE_PROBES_SENT) + 1, NODE_SIZE_WITNESS);
}

/** A probe of that size was answered. By any worker. */
export function notePassed(metrics: usize, size: u32): void {
  let known = atomic.load<u32>(metrics, NODE_SIZE_PASSED);
  while (known < size) {
    const found = atomic.cmpxchg<u32>(metrics, known, size, NODE_SIZE_PASSED);
    if (found == known) return;
    known = found;
  }
}

/**
 * Our own device takes no larger datagrams on the way to the node: the kernel's word, which nobody can forge. By any
 * worker.
 */
export function learnDeviceMtu(metrics: usize, size: u32): void {
  if (size < SIZE_MIN) return;
  atomic.store<u32>(metrics, size, NODE_DEVICE_MTU);
  if (load<u32>(metrics, NODE_MTU) - 1 >= size) adopt(metrics, size); // one that is not known is the largest
}

/** Nothing can be proved of a node that answers no probes: larger datagrams may go in fragments, for a while. */
function believe(metrics: usize, hint: u32, ms: u32): void {
  if (hint != 0) {
    store<u32>(metrics, hint, NODE_WHOLE);
    store<u32>(metrics, ms, NODE_SIZE_CHECKED_MS);
  } else if (load<u32>(metrics, NODE_WHOLE) != 0 && ms - load<u32>(metrics, NODE_SIZE_CHECKED_MS) >= BELIEF_MS) {
    store<u32>(metrics, load<u32>(metrics, NODE_MTU), NODE_WHOLE);
  }
}

/** Begins a search if there is a reason for one. */
function begin(metrics: usize, hint: u32, ms: u32): void {
  const mtu = load<u32>(metrics, NODE_MTU);
  const inUse = sizeInUse(metrics);
  if (load<u32>(metrics, NODE_SIZE_STATE) == SizeSearch.none) {
    store<u32>(metrics, ms, NODE_SIZE_RAISED_MS);
    search(metrics, SizeSearch.first, SIZE_MIN, largestSize(metrics));
    store<u32>(metrics, hint, NODE_SIZE_GUESS);
  } else if (hint != 0 && hint < inUse && mayHint(metrics, ms)) {
    store<u32>(metrics, max<u32>(ms, 1), NODE_SIZE_HINTED_MS);
    search(metrics, SizeSearch.hint, SIZE_MIN, inUse);
    store<u32>(metrics, hint, NODE_SIZE_GUESS);
    store<u32>(metrics, hint, NODE_WHOLE); // nothing is lost meanwhile
  } else if (load<u32>(metrics, NODE_LARGE_SENT) != 0 && ms - load<u32>(metrics, NODE_SIZE_CHECKED_MS) >= CHECK_MS) {
    store<u32>(metrics, 0, NODE_LARGE_SENT);
    search(metrics, SizeSearch.check, SIZE_MIN, inUse);
  } else if (mtu != 0 && ms - load<u32>(metrics, NODE_SIZE_RAISED_MS) >= RAISE_MS) {
    store<u32>(metrics, ms, NODE_SIZE_RAISED_MS);
    atomic.store<u32>(metrics, 0, NODE_DEVICE_MTU); // it may have changed as well
    search(metrics, SizeSearch.raise, mtu, fullSize());
    store<u32>(metrics, mtu, NODE_SIZE_GUESS); // most often still the largest
  }
}

function mayHint(metrics: usize, ms: u32): bool {
  const hintedMs = load<u32>(metrics, NODE_SIZE_HINTED_MS);
  return hintedMs == 0 || ms - hintedMs >= HINT_PAUSE_MS;
}

/** Between a size that passes and one above `first`, which is tried first. */
function search(metrics: usize, why: SizeSearch, low: u32, first: u32): void {
  store<u32>(metrics, why, NODE_SIZE_STATE);
  store<u32>(metrics, low, NODE_SIZE_LOW);
  store<u32>(metrics, first + 1, NODE_SIZE_HIGH);
  store<u32>(metrics, 0, NODE_SIZE_GUESS);
  atomic.store<u32>(metrics, 0, NODE_SIZE_PASSED);
  tryNext(metrics, first);
}

function tryNext(metrics: usize, size: u32): void {
  store<u32>(metrics, size, NODE_SIZE_TRIAL);
  store<u32>(metrics, 0, NODE_SIZE_TRIES);
  store<u32>(metrics, 0, NODE_SIZE_WITNESS);
}

/** Whether the size in trial passes or not, as soon as it is known, and what is to be tried then. */
function settle(metrics: usize, ms: u32): void {
  const trial = load<u32>(metrics, NODE_SIZE_TRIAL);
  if (trial == 0) return;
  const largest = largestSize(metrics);
  const low = max(load<u32>(metrics, NODE_SIZE_LOW), atomic.load<u32>(metrics, NODE_SIZE_PASSED));
  let high = load<u32>(metrics, NODE_SIZE_HIGH);
  if (trial > largest) high = min(high, largest + 1);
  else if (low < trial) {
    if (!isLost(metrics, ms)) return;
    high = trial;
  }
  if (low >= high) high = max(largest, low) + 1; // the answer of a size that seemed lost was late
  store<u32>(metrics, low, NODE_SIZE_LOW);
  store<u32>(metrics, high, NODE_SIZE_HIGH);
  if (high - low <= 1) return finish(metrics, ms);
  // Already now nothing larger than what passes is sent in one piece.
  if (high <= sizeInUse(metrics)) store<u32>(metrics, low, NODE_WHOLE);
  tryNext(metrics, trial > largest ? largest : sizeBetween(low, high, load<u32>(metrics, NODE_SIZE_GUESS)));
}

/** A hint first, then whether it is exact, else in the middle. */
function sizeBetween(low: u32, high: u32, guess: u32): u32 {
  if (guess > low && guess < high) return guess;
  return guess == low ? low + 1 : (low + high) >>> 1;
}

/** Whether so many probes of the size in trial were lost that it does not pass. */
function isLost(metrics: usize, ms: u32): bool {
  const witness = load<u32>(metrics, NODE_SIZE_WITNESS);
  if (witness == 0) return false;
  if (!isAnswered(metrics, witness)) {
    const isOver = probeAgeMs(metrics, witness, ms) >= max(WITNESS_MS, 2 * slowestRttMs(metrics));
    if (isOver) store<u32>(metrics, 0, NODE_SIZE_WITNESS);
    return false;
  }
  if (ms - load<u32>(metrics, NODE_SIZE_TRIED_MS) < REORDER_MS) return false;
  const tries = load<u32>(metrics, NODE_SIZE_TRIES) + 1;
  store<u32>(metrics, tries, NODE_SIZE_TRIES);
  store<u32>(metrics, 0, NODE_SIZE_WITNESS);
  return tries == TRIES_MAX;
}

function finish(metrics: usize, ms: u32): void {
  const low = load<u32>(metrics, NODE_SIZE_LOW);
  if (load<u32>(metrics, NODE_SIZE_STATE) == SizeSearch.hint && low >= sizeInUse(metrics)) {
    count(Counter.pathErrorsDisproved, 1);
  }
  adopt(metrics, low >= fullSize() ? 0 : low);
  store<u32>(metrics, SizeSearch.idle, NODE_SIZE_STATE);
  store<u32>(metrics, ms, NODE_SIZE_CHECKED_MS);
  tryNext(metrics, 0);
}

function adopt(metrics: usize, mtu: u32): void {
  // A refusal of UDP_SEGMENT was perhaps about the size.
  if (mtu != load<u32>(metrics, NODE_MTU)) store<u32>(metrics, 0, NODE_GSO_REFUSED);
  store<u32>(metrics, mtu, NODE_MTU);
  store<u32>(metrics, mtu, NODE_WHOLE);
}

function sizeInUse(metrics: usize): u32 {
  const mtu = load<u32>(metrics, NODE_MTU);
  return mtu == 0 ? largestSize(metrics) : mtu;
}

/** What there may be to carry, and our own device takes. */
function largestSize(metrics: usize): u32 {
  const device = atomic.load<u32>(metrics, NODE_DEVICE_MTU);
  return device == 0 ? fullSize() : min(device, fullSize());
}

/** The largest packet that there may be to carry. */
function fullSize(): u32 {
  const tun = load<u32>(HEADER_AT, HEADER_TUN_MTU);
  return min<u32>(tun == 0 ? TUN_MTU_DEFAULT : tun, UDP_PAYLOAD_MAX);
}
