// Outliers: instances whose openings fail, by what this node's own clients met. Promises: an instance whose openings at
// a port fail several times in a row gets no new flows to that port for a while, from the clients that met it; a success
// ends that. No client takes an instance from others: what it meets counts for itself. For everybody counts only what a
// client cannot bring about at a port that serves: the instance refuses, and does so CLIENTS_MIN clients.

import { count } from "../area/count.ts";
import { outliersAt } from "../area/regions.ts";
import { Flow } from "../record/flow.ts";
import * as Header from "../record/header.ts";
import { Outlier } from "../record/outlier.ts";
import { Counter } from "../shared/counters.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import * as OutlierLayout from "../shared/layout/outlier.ts";
import { OutlierCause } from "../shared/layout/outlier.ts";
import * as Protocol from "../shared/protocol.ts";
import { incarnation, isAlive } from "./instance.ts";

const USED: u64 = 1 << 63;
const SET_SIZE: usize = OutlierLayout.WAYS * OutlierLayout.SIZE;
const SET_SHIFT: u64 = 64 - ctz<u64>(OutlierLayout.SETS);
const FAILURES_MAX: u8 = 255;

/** Whether the openings of flows of this protocol are judged. */
export function isJudged(protocol: u32): bool {
  return protocol == Protocol.TCP || protocol == Protocol.UDP;
}

/** When an opening that is judged begins, by the attentive clock; never 0. */
export function openingMs(): u32 {
  return max<u32>(1, Header.attentiveMs.load());
}

/** Whether new flows of `client` avoid the instance at a port (in network order). */
export function isAvoided(client: u32, instance: u32, protocol: u32, port: u16, nowMs: u32): bool {
  if (Header.outlierUntilMs.load() == 0 || !isJudged(protocol)) return false;
  const own = find(keyOf(client, instance, protocol, port), mixedIncarnation(client, instance));
  if (own != 0 && isOut(own, nowMs)) return true;
  const all = find(keyOf(OutlierLayout.EVERYBODY, instance, protocol, port), incarnation(instance));
  return all != 0 && isOut(all, nowMs);
}

/** The instance answered the flow's opening. */
export function noteAnswered(flow: usize, nowMs: u32): void {
  if (Header.outlierFailures.value == 0 || (Flow.at(flow).seen & FlowLayout.IS_BALANCED) == 0 || !isThere(flow)) return;
  Flow.at(flow).openedMs = 0;
  const own = find(keyOfFlow(flow, Flow.at(flow).clientInstance), incarnationsOf(flow));
  if (own != 0) {
    if (isOut(own, nowMs)) tellChange();
    Outlier.at(own).key.store(0);
  }
  const all = findOrTake(keyOfFlow(flow, OutlierLayout.EVERYBODY), Flow.at(flow).instanceIncarnation, nowMs);
  if (isOut(all, nowMs)) tellChange();
  Outlier.at(all).failures = 0;
  Outlier.at(all).clientCount = 0;
  Outlier.at(all).hasAnswered = true;
  Outlier.at(all).usedMs = nowMs;
}

/** The flow's opening failed, if it is still open and its outcome counts. */
export function noteFailed(flow: usize, cause: OutlierCause, nowMs: u32): void {
  const opened = Flow.at(flow).openedMs;
  if (opened == 0 || !isThere(flow) || Flow.at(flow).exchangeIfOpenedMs(opened, 0) != opened) return;
  count(cause == OutlierCause.unanswered ? Counter.openingsUnanswered : Counter.openingsRefused, 1);
  const client = Flow.at(flow).clientInstance;
  const own = findOrTake(keyOfFlow(flow, client), incarnationsOf(flow), nowMs);
  addFailure(own, cause, nowMs);
  if (cause == OutlierCause.unanswered) return; // a client can see to that: by a segment that nobody takes
  const all = findOrTake(keyOfFlow(flow, OutlierLayout.EVERYBODY), Flow.at(flow).instanceIncarnation, nowMs);
  if (isOut(all, nowMs)) return; // only then may flows that are under way not make it longer
  if (isAtEnd(all)) startAnew(all);
  addClient(all, client);
  addFailure(all, cause, nowMs);
}

/** A flow that is opening is looked at: whether it has waited for an answer for too long. */
export function noteWaiting(flow: usize, nowMs: u32): void {
  const opened = Flow.at(flow).openedMs;
  if (opened == 0 || ageOf(opened, Header.attentiveMs.load()) < Header.outlierUnansweredMs.value) return;
  noteFailed(flow, OutlierCause.unanswered, nowMs);
}

/** Once nobody is out any more, no choice has to look. */
export function endPauses(nowMs: u32): void {
  const untilMs = Header.outlierUntilMs.load();
  if (untilMs != 0 && <i32>(nowMs - untilMs) >= 0) Header.outlierUntilMs.exchangeIf(untilMs, 0);
}

/** Whether both ends are still in the tables: what others get that come in their place is their own. */
function isThere(flow: usize): bool {
  const record = Flow.at(flow);
  return (
    isAlive(record.instance, record.instanceIncarnation) && isAlive(record.clientInstance, record.clientIncarnation)
  );
}

function addFailure(at: usize, cause: OutlierCause, nowMs: u32): void {
  const entry = Outlier.at(at);
  const wasOut = isOut(at, nowMs);
  if (entry.failures != FAILURES_MAX) entry.failures = entry.failures + 1;
  entry.cause = <u8>cause;
  entry.usedMs = nowMs;
  if (!isAtEnd(at)) return;
  Header.outlierUntilMs.store(max<u32>(1, nowMs + Header.outlierPauseMs.value));
  if (!wasOut) tellChange();
}

/** Counts the client among those that an entry of everybody is about, once. */
function addClient(at: usize, client: u32): void {
  const entry = Outlier.at(at);
  const clients: u32 = entry.clientCount;
  if (clients == 0) entry.firstClient = client;
  else if (client == entry.firstClient) return;
  else if (clients == 1) entry.secondClient = client;
  else if (client == entry.secondClient || clients == OutlierLayout.CLIENTS_MIN) return;
  entry.clientCount = <u8>(clients + 1);
}

/** Whether the failures of an entry suffice, whenever they were. */
function isAtEnd(at: usize): bool {
  const entry = Outlier.at(at);
  const isOfAll = clientOf(entry.key.load()) == OutlierLayout.EVERYBODY;
  const hasEnough = <u32>entry.failures >= Header.outlierFailures.value;
  return hasEnough && (!isOfAll || <u32>entry.clientCount >= <u32>OutlierLayout.CLIENTS_MIN);
}

function isOut(at: usize, nowMs: u32): bool {
  return isAtEnd(at) && ageMs(at, nowMs) < Header.outlierPauseMs.value;
}

/** Whether what an entry tells is too old to be of any use. */
function isStale(at: usize, nowMs: u32): bool {
  return ageMs(at, nowMs) >= Header.outlierPauseMs.value + OutlierLayout.FORGET_MS;
}

function ageMs(at: usize, nowMs: u32): u32 {
  return ageOf(Outlier.at(at).usedMs, nowMs);
}

function ageOf(ms: u32, nowMs: u32): u32 {
  const age = nowMs - ms;
  return age > <u32>FlowLayout.AGE_MAX_MS ? 0 : age;
}

function startAnew(at: usize): void {
  Outlier.at(at).failures = 0;
  Outlier.at(at).clientCount = 0;
}

/** The control plane is told that an instance is out, or not any more. */
function tellChange(): void {
  Header.outlierEpoch.add(1);
  Header.outlierEpoch.notify();
}

function find(key: u64, incarnations: u32): usize {
  const set = setAt(key);
  for (let at = set; at < set + SET_SIZE; at += OutlierLayout.SIZE) {
    if (Outlier.at(at).key.load() == key) return Outlier.at(at).incarnation == incarnations ? at : 0;
  }
  return 0;
}

/** The entry of the key, which begins if there is none or what it tells is stale. */
function findOrTake(key: u64, incarnations: u32, nowMs: u32): usize {
  const known = find(key, incarnations);
  if (known != 0) {
    if (isStale(known, nowMs)) startAnew(known);
    return known;
  }
  const at = placeFor(key, nowMs);
  const entry = Outlier.at(at);
  entry.key.store(0);
  entry.incarnation = incarnations;
  entry.usedMs = nowMs;
  entry.hasAnswered = false;
  startAnew(at);
  entry.key.store(key);
  return at;
}

/**
 * Where an entry of the key begins: that of the key itself, a free or stale one, else one of the same client, else the
 * oldest. So a client takes one entry of a set from others at most.
 */
function placeFor(key: u64, nowMs: u32): usize {
  const set = setAt(key);
  let best = set;
  let bestRank: u64 = 0;
  for (let at = set; at < set + SET_SIZE; at += OutlierLayout.SIZE) {
    const used = Outlier.at(at).key.load();
    if (used == key) return at;
    const isFree = used == 0 || isStale(at, nowMs);
    const isOwn = clientOf(used) == clientOf(key);
    const rank = (u64(isFree) << 33) | (u64(isOwn) << 32) | ageMs(at, nowMs);
    if (at != set && rank <= bestRank) continue;
    best = at;
    bestRank = rank;
  }
  return best;
}

/** A secret factor: nobody can choose keys that meet. */
function setAt(key: u64): usize {
  const secret = Header.flowHashKey.value | 1;
  return outliersAt + <usize>((key * secret) >> SET_SHIFT) * SET_SIZE;
}

function keyOfFlow(flow: usize, client: u32): u64 {
  return keyOf(client, Flow.at(flow).instance, Flow.at(flow).protocol, Flow.at(flow).calledPort);
}

function keyOf(client: u32, instance: u32, protocol: u32, port: u16): u64 {
  return (
    USED |
    ((<u64>client) << OutlierLayout.CLIENT_SHIFT) |
    ((<u64>instance) << OutlierLayout.INSTANCE_SHIFT) |
    (u64(protocol == Protocol.UDP) << OutlierLayout.UDP_SHIFT) |
    <u64>bswap<u16>(port)
  );
}

function clientOf(key: u64): u32 {
  return <u32>((key & ~USED) >> OutlierLayout.CLIENT_SHIFT);
}

/** Tells one pair of records from the next that has their indices. */
function mixedIncarnation(client: u32, instance: u32): u32 {
  return mix(incarnation(client), incarnation(instance));
}

function incarnationsOf(flow: usize): u32 {
  return mix(Flow.at(flow).clientIncarnation, Flow.at(flow).instanceIncarnation);
}

function mix(client: u32, instance: u32): u32 {
  return rotl<u32>(client, 16) ^ instance;
}
