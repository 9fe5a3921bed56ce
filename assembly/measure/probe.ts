// Probes: how nodes measure the way to each other, through the tunnel port (shared/layout/probe.ts).
// Promises: what is measured is by our own clock and by what only the asked node could know. Many probes to a node may
// be under way at once; each is answered once, from the node's own endpoint.

import { count } from "../area/count.ts";
import { takeHeader } from "../queue/arena.ts";
import { sendProbe, sendToSender } from "../queue/udp.ts";
import { advance } from "../record/cell.ts";
import * as Header from "../record/header.ts";
import { NodeMetrics, ProbeNote } from "../record/node-metrics.ts";
import { Probe } from "../record/probe.ts";
import { Counter } from "../shared/counters.ts";
import * as HealthPageLayout from "../shared/layout/health-page.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import { NodeHealth } from "../shared/layout/node-metrics.ts";
import * as ProbeLayout from "../shared/layout/probe.ts";
import { DropReason } from "../shared/verdicts.ts";
import { addRttSample, isNodeKnown, metricsOf, wantedPage } from "../table/node.ts";
import { attend, attentiveMs } from "./attention.ts";
import { isInQuestion, judge, probeDueInMs } from "./health.ts";
import { copyPage, keepPage, toldRevision } from "./health-page.ts";
import { findNote, isSizeNote, maskNode, nextSizeNote, noteOf, writeNote } from "./note.ts";
import { isSizeInTrial, noteTry, sizeToTry } from "./path-size.ts";

/** A request that asks for a health page, and an answer with one: smaller than every path MTU that is believed. */
const PAGE_PROBE_SIZE: u32 = ProbeLayout.SIZE + HealthPageLayout.SIZE;
/** Probes of one call, or one more: the rest waits for the next. */
const PROBES_MAX: u32 = 256;
/** Of an answer: more time than that without attention was a pause of our own, which is no part of a round trip. */
const PAUSE_MS: f64 = 500;

/** However little is due, the nodes are looked at so often. */
const PAUSE_MAX_MS: u32 = 400;

/** Node at which the next call goes on. */
let cursor: u32 = 0;

/**
 * Looks at every other node, and queues the probes that are due; returns how many. The header tells for how long
 * nothing more is due.
 */
export function queueProbes(nowUs: f64, nowMs: u32): u32 {
  const ms = attend(nowMs);
  const nodes = Header.nodeCount.value;
  Header.probePauseMs.store(PAUSE_MAX_MS); // before anybody is looked at: a hint that comes meanwhile is not forgotten
  let pauseMs = PAUSE_MAX_MS;
  let queued: u32 = 0;
  for (let i: u32 = 1; i < nodes; i++) {
    if (queued >= PROBES_MAX) {
      pauseMs = 0;
      break;
    }
    cursor = cursor + 1 < nodes ? cursor + 1 : NodeLayout.LOCAL + 1;
    if (!isNodeKnown(cursor)) continue;
    queued += attendNode(cursor, nowUs, ms);
    pauseMs = min(pauseMs, attentionDueInMs(cursor, ms));
  }
  Header.shortenProbePause(pauseMs);
  count(Counter.probesSent, queued);
  return queued;
}

/** When a node has to be looked at again; 0 = as soon as may be. */
function attentionDueInMs(node: u32, ms: u32): u32 {
  const metrics = metricsOf(node);
  if (isSizeInTrial(metrics) || isInQuestion(metrics)) return 0;
  const intervalMs = Header.probeIntervalMs.value;
  return intervalMs == 0 ? PAUSE_MAX_MS : probeDueInMs(metrics, intervalMs, ms);
}

function attendNode(node: u32, nowUs: f64, ms: u32): u32 {
  const metrics = metricsOf(node);
  judge(metrics, nowUs, ms);
  const size = sizeToTry(metrics, ms);
  if (size != 0) {
    send(node, size, writeNote(nextSizeNote(metrics), size, nowUs, ms), 0);
    noteTry(metrics, ms);
    sendNumbered(node, metrics, nowUs, ms); // its witness
    return 2;
  }
  const intervalMs = Header.probeIntervalMs.value;
  if (intervalMs == 0 || probeDueInMs(metrics, intervalMs, ms) != 0) return 0;
  sendNumbered(node, metrics, nowUs, ms);
  return 1;
}

export function isProbe(at: usize, length: u32): bool {
  return length >= 2 && Probe.at(at).magic == ProbeLayout.MAGIC;
}

/**
 * Answers a request, or takes what a reply says, from the node `from` whose sockaddr is at `sender`. Strangers get no
 * answer: it could be meant to go to somebody else.
 */
export function receiveProbe(at: usize, length: u32, sender: usize, from: u32, nowUs: f64): DropReason {
  if (from == NodeLayout.STRANGER) return DropReason.badProbe;
  if (length < <u32>ProbeLayout.SIZE || Probe.at(at).version != ProbeLayout.VERSION) return DropReason.badProbe;
  const type = Probe.at(at).type;
  if (type == ProbeLayout.REQUEST) {
    sendToSender(sender, at, turnIntoReply(at, length));
    count(Counter.probesAnswered, 1);
    return DropReason.none;
  }
  if (type != ProbeLayout.REPLY) return DropReason.badProbe;
  const nonce = Probe.at(at).nonce;
  if (maskNode(Probe.at(at).node, nonce) != from) return DropReason.badProbe;
  const metrics = metricsOf(from);
  const note = findNote(metrics, nonce);
  if (note == null || !takeAnswer(metrics, note, nonce, from, nowUs)) return DropReason.badProbe;
  metrics.takesEcn = Probe.at(at).abilities & ProbeLayout.TAKES_ECN;
  takeHealth(at, length, metrics, from);
  count(Counter.probeReplies, 1);
  return DropReason.none;
}

/** Returns its length: an answer is never longer than what it answers. */
function turnIntoReply(at: usize, length: u32): u32 {
  const isAsked = (Probe.at(at).abilities & ProbeLayout.ASKS_PAGE) != 0 && length >= PAGE_PROBE_SIZE;
  const page = Probe.at(at).page;
  const revision = toldRevision();
  Probe.at(at).type = <u8>ProbeLayout.REPLY;
  Probe.at(at).abilities = ProbeLayout.TAKES_ECN | (revision == 0 ? 0 : ProbeLayout.TELLS_HEALTH);
  Probe.at(at).page = revision;
  return isAsked && copyPage(page, revision, at + ProbeLayout.SIZE) ? PAGE_PROBE_SIZE : ProbeLayout.SIZE;
}

function takeHealth(at: usize, length: u32, metrics: NodeMetrics, from: u32): void {
  const isTold = (Probe.at(at).abilities & ProbeLayout.TELLS_HEALTH) != 0;
  const revision = isTold ? Probe.at(at).page : 0;
  metrics.toldRevision.store(revision);
  if (revision != 0 && length == PAGE_PROBE_SIZE) keepPage(from, revision, at + ProbeLayout.SIZE);
}

/** False when another worker took it first, or the note is another probe's by now. */
function takeAnswer(metrics: NodeMetrics, note: ProbeNote, nonce: u64, node: u32, nowUs: f64): bool {
  const value = note.value;
  const sentMs = note.sentMs;
  const rttUs = nowUs - note.sentUs;
  if (note.nonce.exchangeIf(nonce, 0) != nonce) return false;
  // Later than the last change of its health, also when the clock shows the same: judge() compares the two.
  metrics.heardUs = max<f64>(nowUs, metrics.sinceUs + 1);
  if (metrics.health != NodeHealth.reachable) Header.probePauseMs.store(0); // judge() has news
  if (isSizeNote(metrics, note)) {
    advance(metrics.sizePassed, value);
    return true;
  }
  advance(metrics.answered, value);
  if (rttUs / 1000 <= <f64>(attentiveMs() - sentMs) + PAUSE_MS) addRttSample(node, <u32>max<f64>(rttUs, 0));
  return true;
}

function sendNumbered(node: u32, metrics: NodeMetrics, nowUs: f64, ms: u32): void {
  const number = metrics.probesSent + 1;
  metrics.probesSent = number;
  metrics.probedMs = ms;
  const wanted = wantedPage(node);
  const size: u32 = wanted == 0 ? ProbeLayout.SIZE : PAGE_PROBE_SIZE;
  send(node, size, writeNote(noteOf(metrics, number), number, nowUs, ms), wanted);
}

/** `wanted` is 1 + the health page that it asks for, 0 = none. */
function send(node: u32, size: u32, nonce: u64, wanted: u32): void {
  const probe = takeHeader(ProbeLayout.SIZE);
  Probe.at(probe).magic = <u16>ProbeLayout.MAGIC;
  Probe.at(probe).version = <u8>ProbeLayout.VERSION;
  Probe.at(probe).type = <u8>ProbeLayout.REQUEST;
  Probe.at(probe).node = maskNode(node, nonce);
  Probe.at(probe).nonce = nonce;
  Probe.at(probe).abilities = wanted == 0 ? 0 : ProbeLayout.ASKS_PAGE;
  Probe.at(probe).page = wanted == 0 ? 0 : wanted - 1;
  sendProbe(node, probe, ProbeLayout.SIZE, size - ProbeLayout.SIZE);
}
