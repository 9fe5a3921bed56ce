// Whether a node can be reached: by the answers to our probes alone. That somebody refuses our datagrams is a hint,
// which anybody can forge (RFC 5927): it makes us ask at once and wait less long.

import { NodeMetrics } from "../record/node-metrics.ts";
import * as NodeMetricsLayout from "../shared/layout/node-metrics.ts";
import { NodeHealth } from "../shared/layout/node-metrics.ts";
import { setHealth } from "../table/node.ts";
import { probeAgeMs } from "./note.ts";

/** This number of probes in a row is not lost by chance. */
const UNANSWERED_MIN: u32 = 3;
/** A node is silent when it has not answered for so long, and for twice its slowest round trip. */
const SILENCE_MS: u32 = 3000;
/** As long as somebody says that it refuses our datagrams. */
const DOUBT_MS: u32 = 250;
/** A probe that is not answered by then is followed by another one, however long the interval is. */
const RETRY_MS: u32 = 1000;
/**
 * From this number of unanswered probes on, they are sent less often: the ring then holds those of the last eight
 * seconds.
 */
const EAGER_MAX: u32 = 8;

/** Draws the conclusions from what was answered, and what was not. */
export function judge(metrics: NodeMetrics, nowUs: f64, ms: u32): void {
  const health = metrics.health;
  if (metrics.refused.exchange(0) != 0 && health == NodeHealth.reachable && !isDoubted(metrics)) {
    metrics.doubt = metrics.probesSent + 1;
  }
  const heardUs = metrics.heardUs;
  if (heardUs == 0) return;
  if (health != NodeHealth.reachable) {
    if (health == NodeHealth.unknown || heardUs > metrics.sinceUs) {
      setHealth(metrics, NodeHealth.reachable, nowUs);
    }
    return;
  }
  if (isSilent(metrics, ms)) setHealth(metrics, NodeHealth.lost, nowUs);
}

/** When the node is to be probed next; 0 = now. */
export function probeDueInMs(metrics: NodeMetrics, intervalMs: u32, ms: u32): u32 {
  if (metrics.probesSent == 0) return 0;
  const passedMs = ms - metrics.probedMs;
  const pauseMs = probePauseMs(metrics, intervalMs, ms);
  return pauseMs - min(pauseMs, passedMs);
}

function probePauseMs(metrics: NodeMetrics, intervalMs: u32, ms: u32): u32 {
  const answered = metrics.answered.value;
  const unanswered = metrics.probesSent - answered;
  if (unanswered >= EAGER_MAX) return max(intervalMs, RETRY_MS);
  if (isDoubted(metrics)) return 0;
  const isLate = unanswered != 0 && probeAgeMs(metrics, answered + 1, ms) >= RETRY_MS;
  return isLate ? min(intervalMs, RETRY_MS) : intervalMs;
}

/** Whether it may soon have to be called lost. */
export function isInQuestion(metrics: NodeMetrics): bool {
  const unanswered = metrics.probesSent - metrics.answered.value;
  return unanswered >= UNANSWERED_MIN && metrics.health == NodeHealth.reachable;
}

function isSilent(metrics: NodeMetrics, ms: u32): bool {
  const answered = metrics.answered.value;
  const sent = metrics.probesSent;
  if (sent - answered < UNANSWERED_MIN) return false;
  const slowMs = 2 * slowestRttMs(metrics);
  // The last of them had its time as well.
  const isLong = probeAgeMs(metrics, answered + 1, ms) >= max(SILENCE_MS, slowMs);
  if (isLong && probeAgeMs(metrics, answered + UNANSWERED_MIN, ms) >= max(DOUBT_MS, slowMs)) return true;
  const third = metrics.doubt + UNANSWERED_MIN - 1;
  return isDoubted(metrics) && <i32>(sent - third) >= 0 && probeAgeMs(metrics, third, ms) >= max(DOUBT_MS, slowMs);
}

/** Whether the node is said to refuse datagrams and has answered no probe since. */
function isDoubted(metrics: NodeMetrics): bool {
  const doubt = metrics.doubt;
  return doubt != 0 && <i32>(metrics.answered.value - doubt) < 0;
}

/** Of the last samples, 0 = none. */
export function slowestRttMs(metrics: NodeMetrics): u32 {
  let slowestUs: u32 = 0;
  for (let i: u32 = 0; i < <u32>NodeMetricsLayout.RTT_SAMPLE_COUNT; i++) {
    slowestUs = max(slowestUs, metrics.rttSample(i).value);
  }
  return slowestUs / 1000;
}
