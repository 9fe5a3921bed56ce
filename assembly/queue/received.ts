// What recvmmsg left: messages, where each came from, the size of the datagrams that it holds (UDP_GRO), and what their
// outer headers say of congestion. The kernel joins only datagrams with the same TOS or traffic class.

import { workerAt } from "../area/regions.ts";
import * as Header from "../record/header.ts";
import { Cmsghdr, Iovec, Mmsghdr, TOS, TRAFFIC_CLASS } from "../record/kernel.ts";
import { WorkerArea } from "../record/worker.ts";
import * as Ecn from "../shared/ecn.ts";
import * as HeaderLayout from "../shared/layout/header.ts";
import * as KernelLayout from "../shared/layout/kernel.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import * as Sockets from "../shared/sockets.ts";
import { IPV4_MIN_HEADER, Ipv4 } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { native } from "./arena.ts";

const MSG_TRUNC: u32 = 0x20;
// The kernel gives at most two control messages, first the size of joined datagrams, then the TOS (a byte) or traffic
// class (an int).
const GRO_SIZE: u64 = ((<u64>Sockets.UDP_GRO) << 32) | Sockets.SOL_UDP;

/** Points every receive message at its slot, sockaddr and control buffer. */
export function prepareReceive(): void {
  for (let i: u32 = 0; i < <u32>WorkerLayout.BATCH_SIZE; i++) {
    const iovec = workerAt + WorkerLayout.UDP_RX_IOVECS + <usize>i * KernelLayout.IOVEC_SIZE;
    Iovec.at(iovec).base = native(datagramsAt(i));
    Iovec.at(iovec).length = WorkerLayout.FRAME_MAX;
    const message = messageAt(i);
    Mmsghdr.at(message).name = native(senderAt(i));
    Mmsghdr.at(message).nameLength = NodeLayout.ENDPOINT_SIZE;
    Mmsghdr.at(message).iov = native(iovec);
    Mmsghdr.at(message).iovCount = 1;
    Mmsghdr.at(message).control = native(controlAt(i));
    Mmsghdr.at(message).controlLength = KernelLayout.CONTROL_SIZE;
  }
}

/** First byte of the frame that was read from the TUN into a slot. */
export function frameAt(slot: u32): usize {
  return workerAt + WorkerLayout.TUN_SLOTS + <usize>slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM;
}

export function frameLength(slot: u32): u32 {
  return WorkerArea.at(workerAt).tunLength(slot);
}

/** First byte of the datagrams of a message. */
export function datagramsAt(slot: u32): usize {
  return workerAt + WorkerLayout.UDP_SLOTS + <usize>slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM;
}

/** Bytes of all datagrams of a message. */
export function datagramsLength(slot: u32): u32 {
  return Mmsghdr.at(messageAt(slot)).length;
}

export function isTruncated(slot: u32): bool {
  return (Mmsghdr.at(messageAt(slot)).flags & MSG_TRUNC) != 0;
}

/** sockaddr_in6 that a message came from. */
export function senderAt(slot: u32): usize {
  return workerAt + WorkerLayout.UDP_RX_NAMES + <usize>slot * NodeLayout.ENDPOINT_SIZE;
}

/** Size of every datagram of a message but the last, which may be shorter. */
export function datagramSize(slot: u32): u32 {
  const message = Mmsghdr.at(messageAt(slot));
  const whole = message.length;
  const control = Cmsghdr.at(controlAt(slot));
  if (message.controlLength < <u64>KernelLayout.CMSG_SIZE || control.kind != GRO_SIZE) return unmarkedSize(slot, whole);
  return control.data == 0 ? whole : control.data;
}

/** The ECN field of the outer headers of a message; Ecn.NOT_ECT also when the kernel does not tell it. */
export function outerEcn(slot: u32): u32 {
  const length = <usize>Mmsghdr.at(messageAt(slot)).controlLength;
  if (length < <usize>KernelLayout.CMSG_SIZE) return Ecn.NOT_ECT;
  const control = Cmsghdr.at(controlAt(slot) + length - KernelLayout.CMSG_SIZE);
  if (control.kind != TOS && control.kind != TRAFFIC_CLASS) return Ecn.NOT_ECT;
  return control.data & Ecn.MASK; // in the first byte of an int, too
}

/**
 * A message without UDP_GRO's size is one datagram, unless UDP_GRO was switched off while it waited: the kernel then
 * gives the datagrams that it had joined without saying so. A datagram holds one packet, whose header tells its size.
 */
function unmarkedSize(slot: u32, whole: u32): u32 {
  if ((Header.offloads.value & HeaderLayout.OFFLOAD_GRO_ENDED) == 0 || whole < <u32>IPV6_HEADER) return whole;
  const at = datagramsAt(slot);
  const version = load<u8>(at) >> 4;
  const size = version == 4 ? Ipv4.at(at).totalLength : version == 6 ? Ipv6.at(at).payloadLength + IPV6_HEADER : whole;
  return size < <u32>IPV4_MIN_HEADER ? whole : min(size, whole);
}

function messageAt(slot: u32): usize {
  return workerAt + WorkerLayout.UDP_RX + <usize>slot * KernelLayout.MMSGHDR_SIZE;
}

function controlAt(slot: u32): usize {
  return workerAt + WorkerLayout.UDP_RX_CONTROLS + <usize>slot * KernelLayout.CONTROL_SIZE;
}
