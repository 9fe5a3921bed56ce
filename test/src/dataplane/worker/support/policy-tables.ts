// Records of services, candidates, instances and nodes as the host of policies reads them, written one by one.

import * as CandidateLayout from "../../../../../assembly/shared/layout/candidate.ts";
import * as HeaderLayout from "../../../../../assembly/shared/layout/header.ts";
import { Region } from "../../../../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../../../../assembly/shared/layout/instance.ts";
import * as NodeLayout from "../../../../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../../../../assembly/shared/layout/node-metrics.ts";
import * as ServiceLayout from "../../../../../assembly/shared/layout/service.ts";
import { ServiceKind } from "../../../../../assembly/shared/layout/service.ts";
import { createSharedMemory, type SharedMemory } from "../../../../../src/memory/shared-memory.ts";
import type { Family } from "../../../../../src/net/address.ts";

const FIRST_CANDIDATE = 5;

/** Instance i (number 10 + i) runs on node i; service record r has the handle 100 + r. */
export interface PolicyTables {
  readonly shared: SharedMemory;
  /** Writes service record `record` and its candidates; returns its address. */
  service(
    record: number,
    policy: number,
    revision: number,
    candidates: readonly TestCandidate[],
    family?: Family,
  ): number;
  rtt(node: number, rttUs: number): void;
  distance(node: number, distanceKm: number): void;
  load(instance: number, flows: number): void;
  /** Gives the instance a namespace address. */
  family(instance: number, family: Family): void;
}

interface TestCandidate {
  readonly instance: number;
  readonly weight?: number;
  readonly flags?: number;
}

export function createPolicyTables(): PolicyTables {
  const shared = createSharedMemory({
    capacities: { flows: 1, addresses: 100, instances: 100, workloads: 1, nodes: 100, workers: 1 },
  });
  const view = new DataView(shared.memory.buffer);
  const u32 = (region: Region, at: number, value: number): void => view.setUint32(shared.at(region) + at, value, true);
  for (let index = 0; index < 100; index += 1) {
    u32(Region.instances, index * InstanceLayout.SIZE + InstanceLayout.NODE, index);
    u32(Region.instances, index * InstanceLayout.SIZE + InstanceLayout.NUMBER, 10 + index);
  }
  return {
    shared,
    service(record, policy, revision, candidates, family = 4) {
      const at = record * ServiceLayout.SIZE;
      const first = FIRST_CANDIDATE + record * 20;
      u32(Region.services, at + ServiceLayout.KIND, ServiceKind.balanced);
      u32(Region.services, at + ServiceLayout.POLICY, policy);
      u32(Region.services, at + ServiceLayout.ID, 100 + record);
      u32(Region.services, at + ServiceLayout.REVISION, revision);
      u32(Region.services, at + ServiceLayout.CANDIDATE_COUNT, candidates.length);
      u32(Region.services, at + ServiceLayout.CANDIDATES, first);
      u32(Region.services, at + ServiceLayout.FAMILY, family);
      candidates.forEach(({ instance, weight, flags }, index) => {
        const candidateAt = shared.at(Region.candidates) + (first + index) * CandidateLayout.SIZE;
        view.setUint32(candidateAt + CandidateLayout.INSTANCE, instance, true);
        view.setUint16(candidateAt + CandidateLayout.WEIGHT, weight ?? 1, true);
        view.setUint16(candidateAt + CandidateLayout.FLAGS, flags ?? 0, true);
      });
      return shared.at(Region.services) + at;
    },
    rtt(node, rttUs) {
      u32(Region.nodeMetrics, node * NodeMetricsLayout.SIZE + NodeMetricsLayout.RTT_US, rttUs);
      Atomics.add(shared.i32, (HeaderLayout.AT + HeaderLayout.METRICS_EPOCH) >>> 2, 1);
    },
    distance(node, distanceKm) {
      view.setFloat32(shared.at(Region.nodes) + node * NodeLayout.SIZE + NodeLayout.DISTANCE_KM, distanceKm, true);
    },
    load(instance, flows) {
      u32(Region.instanceLoads, instance * InstanceLayout.LOAD_SIZE, flows);
    },
    family(instance, family) {
      const [at, word] = family === 4 ? [InstanceLayout.NAMESPACE_V4, 8] : [InstanceLayout.NAMESPACE_V6, 12];
      u32(Region.instances, instance * InstanceLayout.SIZE + at + word, 1);
    },
  };
}
