// Entry of the module that takes over the flows of a process before this one, on the main thread before any worker
// runs. Nothing that it is given is trusted: a record that is not whole is left behind, alone, and what a whole one
// leads to is taken from this process's tables (table/binding.ts).

import { count } from "./area/count.ts";
import { enter, leave } from "./area/generation.ts";
import { attachRegions } from "./area/regions.ts";
import { Flow } from "./record/flow.ts";
import * as Header from "./record/header.ts";
import { Counter } from "./shared/counters.ts";
import * as FlowLayout from "./shared/layout/flow.ts";
import { FlowState } from "./shared/layout/flow.ts";
import { LAYOUT_VERSION } from "./shared/layout/version.ts";
import * as Protocol from "./shared/protocol.ts";
import { isInServiceRange, isNoAddress, isV4Mapped, sameAddress } from "./table/address.ts";
import { bind } from "./table/binding.ts";
import { setDeltas } from "./table/deltas.ts";
import { adopt as adoptRecord, create } from "./table/flow.ts";
import { idleTime } from "./table/flow-record.ts";
import { sealOf } from "./table/seal.ts";

export function layoutVersion(): u32 {
  return LAYOUT_VERSION;
}

export function attach(worker: u32, memoryBase: u64): void {
  attachRegions(worker, memoryBase);
}

/**
 * Takes over the flows of the `records` records at `at`, whose clock is to be advanced by `shiftMs` (modulo 2^32) to be
 * that of this process, where it is `nowMs`.
 */
export function adopt(at: usize, records: u32, shiftMs: u32, nowMs: u32): void {
  enter();
  for (let i: u32 = 0; i < records; i++) adoptOne(at + <usize>i * FlowLayout.SIZE, shiftMs, nowMs);
  leave();
}

function adoptOne(old: usize, shiftMs: u32, nowMs: u32): void {
  const state = <u32>Flow.at(old).state & ~FlowLayout.UNBOUND;
  if (state == FlowState.free) return;
  Flow.at(old).lastUsedMs = Flow.at(old).lastUsedMs + shiftMs;
  if (!isWhole(old, state)) return count(Counter.flowsRefused, 1);
  if (idleTime(old, nowMs) >= Header.timeoutMs(state)) return count(Counter.flowsExpired, 1);
  const flow = create(0, nowMs);
  if (flow == 0) return count(Counter.flowsRefused, 1);
  Flow.at(old).storeState(<u8>FlowState.free);
  memory.copy(flow, old, FlowLayout.SIZE);
  setDeltas(flow);
  Flow.at(flow).instance = 0;
  Flow.at(flow).instanceIncarnation = FlowLayout.NEVER;
  Flow.at(flow).clientInstance = 0;
  Flow.at(flow).clientIncarnation = FlowLayout.NEVER;
  Flow.at(flow).confirmed = FlowLayout.NEVER;
  Flow.at(flow).openedMs = 0;
  if (idleTime(flow, nowMs) == 0) Flow.at(flow).lastUsedMs = nowMs; // never in a time that is to come
  if (!adoptRecord(flow, state, nowMs)) return count(Counter.flowsRefused, 1);
  count(Counter.flowsAdopted, 1);
  bind(flow);
}

/** Whether the record is one that this program could have written. */
function isWhole(old: usize, state: u32): bool {
  return (
    Flow.at(old).seal == sealOf(old) &&
    isStateOf(<FlowState>state, Flow.at(old).protocol) &&
    isInServiceRange(Flow.at(old).called) &&
    !isNoAddress(Flow.at(old).client) &&
    areFamiliesRight(old)
  );
}

function isStateOf(state: FlowState, protocol: u32): bool {
  if (state >= FlowState.count) return false;
  if (protocol == Protocol.TCP) return state >= FlowState.tcpOpening && state <= FlowState.tcpClosed;
  if (protocol == Protocol.UDP) return state == FlowState.udpUnreplied || state == FlowState.udpStream;
  if (protocol == Protocol.ICMP && state == FlowState.icmpQuery) return true;
  return state == FlowState.otherUnreplied || state == FlowState.otherStream;
}

/** As flow/open.ts chooses them. */
function areFamiliesRight(old: usize): bool {
  const seen: u32 = Flow.at(old).seen;
  const isIpv4 = isV4Mapped(Flow.at(old).client);
  const isWireIpv4 = isV4Mapped(Flow.at(old).target);
  const areAnswersIpv4 = isV4Mapped(Flow.at(old).targetInstanceAddress);
  return (
    isV4Mapped(Flow.at(old).called) == isIpv4 &&
    isV4Mapped(Flow.at(old).clientInstanceAddress) == isWireIpv4 &&
    ((seen & FlowLayout.CROSSES) != 0) == (isWireIpv4 != isIpv4) &&
    ((seen & FlowLayout.ANSWERS_CROSS) != 0) == (areAnswersIpv4 != isIpv4) &&
    isV4Mapped(Flow.at(old).answered) == areAnswersIpv4 &&
    (areAnswersIpv4 != isIpv4 || sameAddress(Flow.at(old).answered, Flow.at(old).client))
  );
}
