// Warms the cache for the look-ups of a batch. In a large flow table each look-up misses the cache twice, one after
// the other; touched packet after packet, the lines of many packets are on their way at once.
// Reads the bytes without checking them: for a packet that is not well-formed, it touches a line that is not needed.

import { workerAt } from "../area/regions.ts";
import * as Header from "../record/header.ts";
import { WorkerArea } from "../record/worker.ts";
import { Ipv4 } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { v4Mapped } from "../wire/packet.ts";
import { bucketAt, matches, recordOf } from "./bucket.ts";
import { flowAt } from "./flow-record.ts";
import { flowHash } from "./hash.ts";

/** Fewer flows stay in the cache by themselves. */
const WORTHWHILE_FLOWS: u32 = 16384;

/** Keeps the compiler from leaving the loads out. */
let touched: u32 = 0;

export function isWorthwhile(): bool {
  return Header.flowCount.value >= WORTHWHILE_FLOWS;
}

/** First step, for each packet of the batch: touches its bucket. `index` is below WorkerLayout.BATCH_SIZE. */
export function touchBucket(index: u32, at: usize): void {
  const hash = load<u8>(at) >>> 4 == 4 ? hashIpv4(at) : hashIpv6(at);
  WorkerArea.at(workerAt).storeFlowHash(index, hash);
  touched ^= load<u32>(bucketAt(hash));
}

/** Second step, for each: touches the flow record that the bucket leads to in this direction. */
export function touchFlow(index: u32, direction: u32): void {
  const hash = WorkerArea.at(workerAt).flowHash(index);
  const bucket = bucketAt(hash);
  const found = matches(bucket, hash, direction);
  if (found == 0) return;
  const flow = flowAt(recordOf(load<u32>(bucket + (ctz(found) << 2))));
  touched ^= load<u32>(flow) ^ load<u32>(flow, 64);
}

function hashIpv4(at: usize): u64 {
  const ip = Ipv4.at(at);
  return flowHash(v4Mapped(ip.source), v4Mapped(ip.destination), load<u32>(at + ip.headerLength), ip.protocol);
}

function hashIpv6(at: usize): u64 {
  const ip = Ipv6.at(at);
  return flowHash(ip.source, ip.destination, load<u32>(at + IPV6_HEADER), ip.nextHeader);
}
