// The iovecs and generated headers that one call's transmit queues point to. Emptied at the start of each call.

import { nativeBase, workerAt } from "../area/regions.ts";
import { Iovec } from "../record/kernel.ts";
import { WorkerArea } from "../record/worker.ts";
import * as KernelLayout from "../shared/layout/kernel.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";

/** Packets that one frame or message may hold: 65,535 bytes in the smallest segments that TCP makes, rounded up. */
export const SEGMENTS_MAX: u32 = 2047;
/** Longest header that is generated: both families' IP and TCP with all options, and some extension headers. */
export const HEADER_MAX: u32 = 256;
/** In front of a generated header and behind it: a virtio_net_hdr, and what rounds it up. */
const HEADER_ROOM: u32 = 16;
/** What copies of the packets of one message may take beside their headers (family-error.ts). */
const COPIES_MAX: u32 = 65536;

let iovecCount: u32 = 0;
let headerBytes: u32 = 0;

export function emptyQueues(): void {
  iovecCount = 0;
  headerBytes = 0;
  WorkerArea.at(workerAt).udpTxCount = 0;
  WorkerArea.at(workerAt).udpTxFragmented = 0;
  WorkerArea.at(workerAt).tunTxCount = 0;
}

/** Whether the queues can take `packets` more, however they are sent. Empty queues can take SEGMENTS_MAX. */
export function hasRoom(packets: u32): bool {
  return (
    iovecCount + 2 * packets <= <u32>WorkerLayout.IOVEC_MAX &&
    headerBytes + (HEADER_MAX + HEADER_ROOM) * packets + COPIES_MAX <= <u32>WorkerLayout.TX_HEADERS_SIZE &&
    WorkerArea.at(workerAt).udpTxCount + packets <= <u32>WorkerLayout.UDP_TX_MAX &&
    WorkerArea.at(workerAt).tunTxCount + packets <= <u32>WorkerLayout.TUN_TX_MAX
  );
}

/** Appends an iovec over the `length` bytes at `at`. */
export function pushIovec(at: usize, length: u32): void {
  const iovec = Iovec.at(iovecAt(iovecCount++));
  iovec.base = native(at);
  iovec.length = length;
}

/** Where the next iovec will be. */
export function nextIovecAt(): usize {
  return iovecAt(iovecCount);
}

/** Room for `length` bytes of header. */
export function takeHeader(length: u32): usize {
  const at = workerAt + WorkerLayout.TX_HEADERS + headerBytes;
  headerBytes += (length + 7) & ~7;
  return at;
}

/** Address of a byte of this memory as the kernel knows it. */
export function native(at: usize): u64 {
  return nativeBase + <u64>at;
}

function iovecAt(index: u32): usize {
  return workerAt + WorkerLayout.TX_IOVECS + <usize>index * KernelLayout.IOVEC_SIZE;
}
