// How large a datagram fits the path to a node: found out by probes of different sizes (RFC 8899), so that it is right
// where ICMP errors are filtered, and nobody can forge it. What an ICMP error says is a hint: where to look, and when.
// Whether a size passes is known by its answer; that it does not, by three probes of it that were lost while small
// ones, sent right after each, were answered.

import { count } from "../area/count.ts";
import * as Header from "../record/header.ts";
import { NodeMetrics } from "../record/node-metrics.ts";
import { Counter } from "../shared/counters.ts";
import { NodeHealth, SizeSearch } from "../shared/layout/node-metrics.ts";
import { UDP_PAYLOAD_MAX } from "../shared/sockets.ts";
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

/** Continues the search for a node; returns the size to be probed now, 0 = none. */
export function sizeToTry(metrics: NodeMetrics, ms: u32): u32 {
  const hint = metrics.hint.exchange(0);
  const health = metrics.health;
  if (health == NodeHealth.unknown) believe(metrics, hint, ms);
  if (health != NodeHealth.reachable) return 0;
  const trial = metrics.sizeTrial;
  if (trial == 0) begin(metrics, hint, ms);
  else if (hint != 0) metrics.sizeGuess = hint;
  settle(metrics, ms);
  return metrics.sizeTrial != 0 && metrics.sizeWitness == 0 ? metrics.sizeTrial : 0;
}

/** Whether what is known of the path's size may change with the next answer, or with one that does not come. */
export function isSizeInTrial(metrics: NodeMetrics): bool {
  return metrics.sizeTrial != 0;
}

/** The size was sent; the next small probe will show that the path carries something. */
export function noteTry(metrics: NodeMetrics, ms: u32): void {
  metrics.sizeTriedMs = ms;
  metrics.sizeWitness = metrics.probesSent + 1;
}

/**
 * Our own device takes no larger datagrams on the way to the node: the kernel's word, which nobody can forge. By any
 * worker.
 */
export function learnDeviceMtu(metrics: NodeMetrics, size: u32): void {
  if (size < SIZE_MIN) return;
  metrics.deviceMtu.store(size);
  if (metrics.mtu - 1 >= size) adopt(metrics, size); // one that is not known is the largest
}

/** Nothing can be proved of a node that answers no probes: larger datagrams may go in fragments, for a while. */
function believe(metrics: NodeMetrics, hint: u32, ms: u32): void {
  if (hint != 0) {
    metrics.whole = hint;
    metrics.sizeCheckedMs = ms;
  } else if (metrics.whole != 0 && ms - metrics.sizeCheckedMs >= BELIEF_MS) {
    metrics.whole = metrics.mtu;
  }
}

/** Begins a search if there is a reason for one. */
function begin(metrics: NodeMetrics, hint: u32, ms: u32): void {
  const mtu = metrics.mtu;
  const inUse = sizeInUse(metrics);
  if (metrics.sizeState.value == SizeSearch.none) {
    metrics.sizeRaisedMs = ms;
    search(metrics, SizeSearch.first, SIZE_MIN, largestSize(metrics));
    metrics.sizeGuess = hint;
  } else if (hint != 0 && hint < inUse && mayHint(metrics, ms)) {
    metrics.sizeHintedMs.value = max<u32>(ms, 1);
    search(metrics, SizeSearch.hint, SIZE_MIN, inUse);
    metrics.sizeGuess = hint;
    metrics.whole = hint; // nothing is lost meanwhile
  } else if (metrics.largeSent != 0 && ms - metrics.sizeCheckedMs >= CHECK_MS) {
    metrics.largeSent = 0;
    search(metrics, SizeSearch.check, SIZE_MIN, inUse);
  } else if (mtu != 0 && ms - metrics.sizeRaisedMs >= RAISE_MS) {
    metrics.sizeRaisedMs = ms;
    metrics.deviceMtu.store(0); // it may have changed as well
    search(metrics, SizeSearch.raise, mtu, fullSize());
    metrics.sizeGuess = mtu; // most often still the largest
  }
}

function mayHint(metrics: NodeMetrics, ms: u32): bool {
  const hintedMs = metrics.sizeHintedMs.value;
  return hintedMs == 0 || ms - hintedMs >= HINT_PAUSE_MS;
}

/** Between a size that passes and one above `first`, which is tried first. */
function search(metrics: NodeMetrics, why: SizeSearch, low: u32, first: u32): void {
  metrics.sizeState.value = why;
  metrics.sizeLow = low;
  metrics.sizeHigh = first + 1;
  metrics.sizeGuess = 0;
  metrics.sizePassed.store(0);
  tryNext(metrics, first);
}

function tryNext(metrics: NodeMetrics, size: u32): void {
  metrics.sizeTrial = size;
  metrics.sizeTries = 0;
  metrics.sizeWitness = 0;
}

/** Whether the size in trial passes or not, as soon as it is known, and what is to be tried then. */
function settle(metrics: NodeMetrics, ms: u32): void {
  const trial = metrics.sizeTrial;
  if (trial == 0) return;
  const largest = largestSize(metrics);
  const low = max(metrics.sizeLow, metrics.sizePassed.load());
  let high = metrics.sizeHigh;
  if (trial > largest) high = min(high, largest + 1);
  else if (low < trial) {
    if (!judgeTry(metrics, ms)) return;
    high = trial;
  }
  if (low >= high) high = max(largest, low) + 1; // the answer of a size that seemed lost was late
  metrics.sizeLow = low;
  metrics.sizeHigh = high;
  if (high - low <= 1) return finish(metrics, ms);
  // Already now nothing larger than what passes is sent in one piece.
  if (high <= sizeInUse(metrics)) metrics.whole = low;
  tryNext(metrics, trial > largest ? largest : sizeBetween(low, high, metrics.sizeGuess));
}

/** A hint first, then whether it is exact, else in the middle. */
function sizeBetween(low: u32, high: u32, guess: u32): u32 {
  if (guess > low && guess < high) return guess;
  return guess == low ? low + 1 : (low + high) >>> 1;
}

/** Counts a try whose probe was lost. True when TRIES_MAX were, so that the size in trial does not pass. */
function judgeTry(metrics: NodeMetrics, ms: u32): bool {
  const witness = metrics.sizeWitness;
  if (witness == 0) return false;
  if (!isAnswered(metrics, witness)) {
    const isOver = probeAgeMs(metrics, witness, ms) >= max(WITNESS_MS, 2 * slowestRttMs(metrics));
    if (isOver) metrics.sizeWitness = 0;
    return false;
  }
  if (ms - metrics.sizeTriedMs < REORDER_MS) return false;
  const tries = metrics.sizeTries + 1;
  metrics.sizeTries = tries;
  metrics.sizeWitness = 0;
  return tries == TRIES_MAX;
}

function finish(metrics: NodeMetrics, ms: u32): void {
  const low = metrics.sizeLow;
  if (metrics.sizeState.value == SizeSearch.hint && low >= sizeInUse(metrics)) {
    count(Counter.pathErrorsDisproved, 1);
  }
  adopt(metrics, low >= fullSize() ? 0 : low);
  metrics.sizeState.value = SizeSearch.idle;
  metrics.sizeCheckedMs = ms;
  tryNext(metrics, 0);
}

function adopt(metrics: NodeMetrics, mtu: u32): void {
  // A refusal of UDP_SEGMENT was perhaps about the size.
  if (mtu != metrics.mtu) metrics.gsoRefused = 0;
  metrics.mtu = mtu;
  metrics.whole = mtu;
}

function sizeInUse(metrics: NodeMetrics): u32 {
  const mtu = metrics.mtu;
  return mtu == 0 ? largestSize(metrics) : mtu;
}

/** What there may be to carry, and our own device takes. */
function largestSize(metrics: NodeMetrics): u32 {
  const device = metrics.deviceMtu.load();
  return device == 0 ? fullSize() : min(device, fullSize());
}

/** The largest packet that there may be to carry. */
function fullSize(): u32 {
  const tun = Header.tunMtu.value;
  return min<u32>(tun == 0 ? TUN_MTU_DEFAULT : tun, UDP_PAYLOAD_MAX);
}
