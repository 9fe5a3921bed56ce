// Where the regions of this memory lie and which worker this instance serves. Set once by attach(); read everywhere.

import { HEADER, Header } from "../record/header.ts";
import { WorkerArea } from "../record/worker-area.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import { Region } from "../shared/layout/header.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";

export let nodesAt: usize = 0;
export let nodeMetricsAt: usize = 0;
export let instancesAt: usize = 0;
export let instanceLoadsAt: usize = 0;
export let addressesAt: usize = 0;
export let servicesAt: usize = 0;
export let workloadsAt: usize = 0;
export let sendersAt: usize = 0;
export let ownAddressesAt: usize = 0;
export let candidatesAt: usize = 0;
export let flowBucketsAt: usize = 0;
export let flowsAt: usize = 0;
export let healthPagesAt: usize = 0;
export let outliersAt: usize = 0;
let workersAt: usize = 0;
/** The area of the worker that this instance serves. */
export let workerAt: usize = 0;

export let worker: u32 = 0;
/** What this worker writes into the locks that it takes. */
export let lockOwner: u32 = 0;
export let workerCount: u32 = 0;
export let addressMask: u32 = 0;
export let workloadMask: u32 = 0;
export let senderMask: u32 = 0;
export let flowBucketMask: u32 = 0;
export let flowLimit: u32 = 0;
/** Native address of byte 0 of the memory: iovec and msghdr structures hold native addresses. */
export let nativeBase: u64 = 0;

export function attachRegions(index: u32, memoryBase: u64): void {
  nodesAt = regionAt(Region.nodes);
  nodeMetricsAt = regionAt(Region.nodeMetrics);
  instancesAt = regionAt(Region.instances);
  instanceLoadsAt = regionAt(Region.instanceLoads);
  addressesAt = regionAt(Region.addresses);
  servicesAt = regionAt(Region.services);
  workloadsAt = regionAt(Region.workloads);
  sendersAt = regionAt(Region.senders);
  ownAddressesAt = regionAt(Region.ownAddresses);
  candidatesAt = regionAt(Region.candidates);
  flowBucketsAt = regionAt(Region.flowBuckets);
  flowsAt = regionAt(Region.flows);
  healthPagesAt = regionAt(Region.healthPages);
  outliersAt = regionAt(Region.outliers);
  workersAt = regionAt(Region.workers);
  worker = index;
  workerAt = workerAreaAt(index);
  lockOwner = (WorkerArea.at(workerAt).incarnation << FlowLayout.LOCK_WORKER_BITS) | (index + 1);
  workerCount = HEADER.workerCount;
  addressMask = HEADER.addressMask;
  workloadMask = HEADER.workloadMask;
  senderMask = HEADER.senderMask;
  flowBucketMask = HEADER.flowBucketMask;
  flowLimit = HEADER.flowLimit;
  nativeBase = memoryBase;
}

export function workerAreaAt(index: u32): usize {
  return workersAt + <usize>index * WorkerLayout.SIZE;
}

function regionAt(region: u32): usize {
  return Header.at(HeaderLayout.AT + (region << 2)).regions;
}
