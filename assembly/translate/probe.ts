// Probes: how nodes measure the way to each other, through the tunnel port (layout.ts, "probe").

import { takeHeader } from "../frame/arena.ts";
import { count } from "../frame/count.ts";
import { sendParts, sendToSender } from "../frame/udp-queue.ts";
import { Counter } from "../shared/counters.ts";
import {
  HEADER_AT,
  HEADER_NODE_COUNT,
  HEADER_PROBE_INTERVAL_MS,
  LOCAL_NODE,
  NODE_LAST_PROBE_MS,
  NODE_LAST_REPLY_MS,
  NODE_NONCE,
  NODE_PROBES_SENT,
  NODE_REPLIES_RECEIVED,
  PROBE_MAGIC,
  PROBE_NODE_AT,
  PROBE_NONCE_AT,
  PROBE_REPLY,
  PROBE_REQUEST,
  PROBE_SENT_AT,
  PROBE_SIZE,
  PROBE_TYPE_AT,
  PROBE_VERSION,
  PROBE_VERSION_AT,
} from "../shared/layout.ts";
import { DropReason } from "../shared/verdicts.ts";
import { addRttSample, isNodeKnown, metricsAt } from "../table/node.ts";
import { hashSeed } from "../table/regions.ts";

/** Probes of one call: the rest waits for the next. */
const PROBES_MAX: u32 = 256;

/** Node at which the next call goes on. */
let cursor: u32 = 0;

/** Queues a probe to every node that was not probed for the configured interval; returns how many. */
export function queueProbes(nowUs: f64, nowMs: u32): u32 {
  const intervalMs = load<u32>(HEADER_AT, HEADER_PROBE_INTERVAL_MS);
  const nodes = load<u32>(HEADER_AT, HEADER_NODE_COUNT);
  if (intervalMs == 0) return 0;
  let queued: u32 = 0;
  for (let i: u32 = 1; i < nodes && queued < PROBES_MAX; i++) {
    cursor = cursor + 1 < nodes ? cursor + 1 : LOCAL_NODE + 1;
    if (!isNodeKnown(cursor)) continue;
    const metrics = metricsAt(cursor);
    const isFirst = load<u32>(metrics, NODE_PROBES_SENT) == 0;
    if (!isFirst && nowMs - load<u32>(metrics, NODE_LAST_PROBE_MS) < intervalMs) continue;
    send(cursor, metrics, nowUs, nowMs);
    queued++;
  }
  count(Counter.probesSent, queued);
  return queued;
}

export function isProbe(at: usize, length: u32): bool {
  return length >= 2 && load<u16>(at) == PROBE_MAGIC;
}

/** Answers a request, or takes the sample of a reply, from the node `from` whose sockaddr is at `sender`. */
export function receiveProbe(at: usize, length: u32, sender: usize, from: u32, nowUs: f64, nowMs: u32): DropReason {
  if (length < <u32>PROBE_SIZE || load<u8>(at, PROBE_VERSION_AT) != PROBE_VERSION) return DropReason.badProbe;
  const type = load<u8>(at, PROBE_TYPE_AT);
  if (type == PROBE_REQUEST) {
    store<u8>(at, PROBE_REPLY, PROBE_TYPE_AT);
    sendToSender(sender, at, PROBE_SIZE);
    count(Counter.probesAnswered, 1);
    return DropReason.none;
  }
  const node = load<u32>(at, PROBE_NODE_AT);
  if (type != PROBE_REPLY || node >= load<u32>(HEADER_AT, HEADER_NODE_COUNT)) return DropReason.badProbe;
  const metrics = metricsAt(node);
  const nonce = load<u64>(metrics, NODE_NONCE);
  if (nonce == 0 || load<u64>(at, PROBE_NONCE_AT) != nonce || node != from) return DropReason.badProbe;
  store<u64>(metrics, 0, NODE_NONCE); // each probe is answered once
  const rttUs = nowUs - load<f64>(at, PROBE_SENT_AT);
  addRttSample(node, <u32>max<f64>(rttUs, 0));
  store<u32>(metrics, load<u32>(metrics, NODE_REPLIES_RECEIVED) + 1, NODE_REPLIES_RECEIVED);
  store<u32>(metrics, nowMs, NODE_LAST_REPLY_MS);
  count(Counter.probeReplies, 1);
  return DropReason.none;
}

function send(node: u32, metrics: usize, nowUs: f64, nowMs: u32): void {
  const nonce = nextNonce(nowUs, node);
  const probe = takeHeader(PROBE_SIZE);
  store<u16>(probe, PROBE_MAGIC);
  store<u8>(probe, PROBE_VERSION, PROBE_VERSION_AT);
  store<u8>(probe, PROBE_REQUEST, PROBE_TYPE_AT);
  store<u32>(probe, node, PROBE_NODE_AT);
  store<u64>(probe, nonce, PROBE_NONCE_AT);
  store<f64>(probe, nowUs, PROBE_SENT_AT);
  store<u64>(metrics, nonce, NODE_NONCE);
  store<u32>(metrics, nowMs, NODE_LAST_PROBE_MS);
  store<u32>(metrics, load<u32>(metrics, NODE_PROBES_SENT) + 1, NODE_PROBES_SENT);
  sendParts(node, probe, PROBE_SIZE, 0, 0);
}

/** Not to be guessed without the seed, which never leaves the process; never 0. */
function nextNonce(nowUs: f64, node: u32): u64 {
  let h = reinterpret<u64>(nowUs) ^ ((<u64>hashSeed) << 32) ^ <u64>node;
  h = (h ^ (h >>> 30)) * 0xbf58476d1ce4e5b9;
  h = ((h ^ (h >>> 27)) * 0x94d049bb133111eb) ^ ((<u64>hashSeed * 0x9e3779b97f4a7c15) | 1);
  return (h ^ (h >>> 31)) | 1;
}
