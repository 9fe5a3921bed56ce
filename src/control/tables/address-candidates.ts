// The candidates of each service address as a policy would see them now, for trials off the data path.

import { ofFamilies, type PolicyCandidate } from "../../dataplane/modules/candidate-record.ts";
import type { CandidateSet } from "../../dataplane/modules/policy-trial-contract.ts";
import { isUnhealthy } from "../../memory/instance-health.ts";
import { readInstanceLoad, readNodeMetrics } from "../../memory/measurements.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import type { Instance, Node, Service, ServiceAddress } from "../../model/tables.ts";
import { type Family, familyOf } from "../../net/address.ts";
import { distanceKm } from "../../net/location.ts";
import type { TableStore } from "./table-store.ts";

export interface AddressCandidates {
  readonly service: string;
  readonly address: ServiceAddress;
  readonly instances: readonly Instance[];
  readonly set: CandidateSet; // in the order of `instances`
}

interface CandidateSource {
  readonly shared: SharedMemory;
  readonly node: Node; // this one
  readonly store: TableStore;
  /** Milliseconds of the workers' clock. */
  readonly nowMs: () => number;
}

/** The most addresses and candidates that a trial asks about, the longest lists first. */
const ADDRESSES_MAX = 1000;
const CANDIDATES_MAX = 100_000;

/** Of the addresses with this policy, of all without one: as far as a trial goes. */
export function addressCandidates(source: CandidateSource, policy: string | undefined): AddressCandidates[] {
  const wanted = source.store
    .snapshot()
    .services.flatMap((service) =>
      service.addresses
        .filter((one) => policy === undefined || one.policy === policy)
        .map((address) => ({ service, address, instances: candidatesOf(service) })),
    )
    .filter(({ instances }) => instances.length > 0)
    .sort((a, b) => b.instances.length - a.instances.length)
    .slice(0, ADDRESSES_MAX);
  let left = CANDIDATES_MAX;
  return wanted.flatMap(({ service, address, instances }) => {
    left -= instances.length;
    return left < 0
      ? []
      : [{ service: service.name, address, instances, set: setNow(source, service, address, instances) }];
  });
}

/** Instances that can be reached: those with a namespace address, of either family. */
export function candidatesOf(service: Service): Instance[] {
  return service.instances.filter(({ namespaceAddresses }) => namespaceAddresses.length > 0);
}

function setNow(
  source: CandidateSource,
  service: Service,
  { address }: ServiceAddress,
  instances: readonly Instance[],
): CandidateSet {
  return {
    name: `${address} of ${service.name}`,
    candidates: candidatesNow(source, service, familyOf(address), instances),
  };
}

function candidatesNow(
  { shared, node: own, store, nowMs }: CandidateSource,
  service: Service,
  called: Family,
  instances: readonly Instance[],
): PolicyCandidate[] {
  const indices = store.instanceIndices(service.name);
  const nodes = new Map(store.nodes.map((node) => [node.id, node]));
  const indexOf = new Map(service.instances.map(({ number }, i) => [number, indices[i]]));
  const metricsOf = ({ node }: Instance): ReturnType<typeof readNodeMetrics> | undefined => {
    const nodeIndex = store.nodeIndex(node);
    return nodeIndex === undefined ? undefined : readNodeMetrics(shared, nodeIndex, nowMs());
  };
  const isFit = (instance: Instance): boolean => {
    const index = indexOf.get(instance.number);
    return metricsOf(instance)?.health !== "lost" && (index === undefined || !isUnhealthy(shared, index));
  };
  const isLenient = !instances.some((instance) => !instance.draining && isFit(instance));
  return instances.map((instance) => {
    const index = indexOf.get(instance.number);
    const metrics = metricsOf(instance);
    const location = nodes.get(instance.node)?.location;
    const isLocal = instance.node === own.id;
    const distance = own.location && location ? distanceKm(own.location, location) : Number.NaN;
    return {
      instance: instance.number,
      weight: instance.weight,
      flows: index === undefined ? 0 : Math.max(0, readInstanceLoad(shared, index)),
      rttUs: metrics?.rttUs ?? 0,
      distanceKm: isLocal ? 0 : distance,
      isLocal,
      isDraining: instance.draining,
      isHealthy: isLenient ? metrics?.health !== "lost" : isFit(instance),
      ...ofFamilies(instance.namespaceAddresses.map(familyOf), called),
    };
  });
}
