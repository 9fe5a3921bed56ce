// What a choice costs: the whole call that the engine makes when a flow begins (host, module and back), beside the
// same policy written in TypeScript without a module, and what it costs to hand a module new round-trip times, and to
// tell it that an instance came or went, which is when a policy builds its tables anew.

import * as CandidateLayout from "../assembly/shared/layout/candidate.ts";
import * as HeaderLayout from "../assembly/shared/layout/header.ts";
import { Region } from "../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../assembly/shared/layout/instance.ts";
import * as NodeMetricsLayout from "../assembly/shared/layout/node-metrics.ts";
import * as ServiceLayout from "../assembly/shared/layout/service.ts";
import { ServiceKind } from "../assembly/shared/layout/service.ts";
import { POLICY_SHAPE } from "../src/dataplane/modules/policy-module.ts";
import { builtModulePath, compileFile } from "../src/dataplane/modules/wasm.ts";
import { PolicyHost } from "../src/dataplane/worker/policies.ts";
import { createSharedMemory, type SharedMemory } from "../src/memory/shared-memory.ts";
import { BUILT_IN_POLICIES } from "../src/model/policy-names.ts";
import type { Case, Work } from "./harness.ts";

const CANDIDATE_COUNTS = [3, 100, 600] as const;
const CHOICES = 1000; // per call
const REFRESHES = 10; // per call
const CHANGES = 4; // per call

export async function policyCases(): Promise<readonly Case[]> {
  const largest = Math.max(...CANDIDATE_COUNTS);
  const shared = createSharedMemory({
    capacities: { flows: 1, addresses: 64, instances: 2 * largest, workloads: 1, nodes: largest, workers: 1 },
  });
  writeInstances(shared, largest);
  const modules = await Promise.all(
    BUILT_IN_POLICIES.map(async (name, slot) => {
      return { slot, name, module: await compileFile(builtModulePath(`policies/${name}`), POLICY_SHAPE) };
    }),
  );
  let nowMs = 0;
  const host = new PolicyHost(shared.memory, modules, 0, { clockMs: () => nowMs });
  const later = (): void => {
    nowMs += 1000;
    Atomics.add(shared.i32, (HeaderLayout.AT + HeaderLayout.METRICS_EPOCH) >>> 2, 1);
  };

  let record = 0;
  return BUILT_IN_POLICIES.flatMap((policy, slot) =>
    CANDIDATE_COUNTS.flatMap((count): Case[] => {
      record += 1;
      const serviceAt = writeService(shared, record, slot, count);
      const subject = `${policy}, ${count} candidates`;
      return [
        { name: `policy choice: ${subject}`, unit: "ns", fast: choices(host, serviceAt), twin: builtInChoices(count) },
        { name: `policy refresh: ${subject}`, unit: "ns", fast: refreshes(host, serviceAt, later) },
        { name: `policy change: ${subject}`, unit: "ns", fast: changes(host, shared, serviceAt, count) },
      ];
    }),
  );
}

function choices(host: PolicyHost, serviceAt: number): Work {
  return {
    amount: CHOICES,
    run: () => {
      for (let flow = 0; flow < CHOICES; flow += 1) host.choose(serviceAt, flow, flow);
    },
  };
}

function refreshes(host: PolicyHost, serviceAt: number, later: () => void): Work {
  return {
    amount: REFRESHES,
    run: () => {
      for (let turn = 0; turn < REFRESHES; turn += 1) {
        later();
        host.choose(serviceAt, turn, turn);
      }
    },
  };
}

/** The last instance goes, and comes back. */
function changes(host: PolicyHost, shared: SharedMemory, serviceAt: number, count: number): Work {
  const countWord = (serviceAt + ServiceLayout.CANDIDATE_COUNT) >>> 2;
  const revisionWord = (serviceAt + ServiceLayout.REVISION) >>> 2;
  return {
    amount: CHANGES,
    run: () => {
      for (let turn = 0; turn < CHANGES; turn += 1) {
        shared.u32[countWord] = turn % 2 === 0 ? count - 1 : count;
        shared.u32[revisionWord] = (shared.u32[revisionWord] ?? 0) + 1;
        host.choose(serviceAt, turn, turn);
      }
    },
  };
}

/** A rotation over an index: round robin and closest come to that once their candidates are known. */
function builtInChoices(count: number): Work {
  const turns = new Map([[1, { next: 0 }]]);
  let chosen = 0;
  return {
    amount: CHOICES,
    run: () => {
      for (let flow = 0; flow < CHOICES; flow += 1) {
        const turn = turns.get(1);
        if (turn === undefined) continue;
        chosen = turn.next;
        turn.next = chosen + 1 === count ? 0 : chosen + 1;
      }
    },
  };
}

/** Instance i runs on node i and has the family of the call; all round-trip times differ. */
function writeInstances(shared: SharedMemory, count: number): void {
  for (let index = 1; index <= count; index += 1) {
    const instanceAt = shared.at(Region.instances) + index * InstanceLayout.SIZE;
    shared.u32[(instanceAt + InstanceLayout.NAMESPACE_V6) >>> 2] = index;
    shared.u32[(instanceAt + InstanceLayout.NODE) >>> 2] = index;
    shared.u32[(instanceAt + InstanceLayout.NUMBER) >>> 2] = index;
    const metricsAt = shared.at(Region.nodeMetrics) + index * NodeMetricsLayout.SIZE;
    shared.u32[(metricsAt + NodeMetricsLayout.RTT_US) >>> 2] = 500 + ((index * 7919) % 5000);
    const candidateAt = shared.at(Region.candidates) + index * CandidateLayout.SIZE;
    shared.u32[(candidateAt + CandidateLayout.INSTANCE) >>> 2] = index;
    shared.u32[(candidateAt + CandidateLayout.WEIGHT) >>> 2] = 1; // weight 1, no flags
  }
}

/** The services share the list of candidates and differ in how much of it they have. */
function writeService(shared: SharedMemory, record: number, policy: number, candidateCount: number): number {
  const at = shared.at(Region.services) + record * ServiceLayout.SIZE;
  const word = (offset: number, value: number): void => {
    shared.u32[(at + offset) >>> 2] = value;
  };
  word(ServiceLayout.KIND, ServiceKind.balanced);
  word(ServiceLayout.POLICY, policy);
  word(ServiceLayout.ID, record);
  word(ServiceLayout.REVISION, 1);
  word(ServiceLayout.CANDIDATE_COUNT, candidateCount);
  word(ServiceLayout.CANDIDATES, 1);
  word(ServiceLayout.FAMILY, 6);
  return at;
}
