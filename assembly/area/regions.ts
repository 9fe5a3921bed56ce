// Where the regions of this memory lie and which worker this instance serves. Set once by attach(); read everywhere.

import * as Header from "../record/header.ts";
import { WorkerArea } from "../record/worker.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
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
  nodesAt = Header.regionAt(Region.nodes);
  nodeMetricsAt = Header.regionAt(Region.nodeMetrics);
  instancesAt = Header.regionAt(Region.instances);
  instanceLoadsAt = Header.regionAt(Region.instanceLoads);
  addressesAt = Header.regionAt(Region.addresses);
  servicesAt = Header.regionAt(Region.services);
  workloadsAt = Header.regionAt(Region.workloads);
  sendersAt = Header.regionAt(Region.senders);
  ownAddressesAt = Header.regionAt(Region.ownAddresses);
  candidatesAt = Header.regionAt(Region.candidates);
  flowBucketsAt = Header.regionAt(Region.flowBuckets);
  flowsAt = Header.regionAt(Region.flows);
  healthPagesAt = Header.regionAt(Region.healthPages);
  outliersAt = Header.regionAt(Region.outliers);
  workersAt = Header.regionAt(Region.workers);
  worker = index;
  workerAt = workerAreaAt(index);
  lockOwner = (WorkerArea.at(workerAt).incarnation << FlowLayout.LOCK_WORKER_BITS) | (index + 1);
  workerCount = Header.workerCount.value;
  addressMask = Header.addressMask.value;
  workloadMask = Header.workloadMask.value;
  senderMask = Header.senderMask.value;
  flowBucketMask = Header.flowBucketMask.value;
  flowLimit = Header.flowLimit.value;
  nativeBase = memoryBase;
}

export function workerAreaAt(index: u32): usize {
  return workersAt + <usize>index * WorkerLayout.SIZE;
}
