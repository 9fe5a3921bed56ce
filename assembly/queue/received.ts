// What recvmmsg left: messages, where each came from, and the size of the datagrams that it holds (UDP_GRO).

import { workerAt } from "../area/regions.ts";
import {
  BATCH_SIZE,
  CONTROL_SIZE,
  FRAME_MAX,
  HEADER_AT,
  HEADER_OFFLOADS,
  IOVEC_SIZE,
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROL_LENGTH,
  MMSGHDR_FLAGS,
  MMSGHDR_IOV,
  MMSGHDR_IOV_COUNT,
  MMSGHDR_LENGTH,
  MMSGHDR_NAME,
  MMSGHDR_NAME_LENGTH,
  MMSGHDR_SIZE,
  NODE_ENDPOINT_SIZE,
  OFFLOAD_GRO_ENDED,
  SLOT_HEADROOM,
  SLOT_SIZE,
  WORKER_TUN_LENGTHS,
  WORKER_TUN_SLOTS,
  WORKER_UDP_RX,
  WORKER_UDP_RX_CONTROLS,
  WORKER_UDP_RX_IOVECS,
  WORKER_UDP_RX_NAMES,
  WORKER_UDP_SLOTS,
} from "../shared/layout.ts";
import { SOL_UDP, UDP_GRO } from "../shared/protocols.ts";
import { IPV4_MIN_HEADER, Ipv4 } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { native } from "./arena.ts";

const MSG_TRUNC: u32 = 0x20;

/** Points every receive message at its slot, sockaddr and control buffer. */
export function prepareReceive(): void {
  for (let i: u32 = 0; i < <u32>BATCH_SIZE; i++) {
    const iovec = workerAt + WORKER_UDP_RX_IOVECS + <usize>i * IOVEC_SIZE;
    store<u64>(iovec, native(datagramsAt(i)));
    store<u64>(iovec, FRAME_MAX, 8);
    const message = messageAt(i);
    store<u64>(message, native(senderAt(i)), MMSGHDR_NAME);
    store<u32>(message, NODE_ENDPOINT_SIZE, MMSGHDR_NAME_LENGTH);
    store<u64>(message, native(iovec), MMSGHDR_IOV);
    store<u64>(message, 1, MMSGHDR_IOV_COUNT);
    store<u64>(message, native(controlAt(i)), MMSGHDR_CONTROL);
    store<u64>(message, CONTROL_SIZE, MMSGHDR_CONTROL_LENGTH);
  }
}

/** First byte of the frame that was read from the TUN into a slot. */
export function frameAt(slot: u32): usize {
  return workerAt + WORKER_TUN_SLOTS + <usize>slot * SLOT_SIZE + SLOT_HEADROOM;
}

export function frameLength(slot: u32): u32 {
  return load<u32>(workerAt + (slot << 2), WORKER_TUN_LENGTHS);
}

/** First byte of the datagrams of a message. */
export function datagramsAt(slot: u32): usize {
  return workerAt + WORKER_UDP_SLOTS + <usize>slot * SLOT_SIZE + SLOT_HEADROOM;
}

/** Bytes of all datagrams of a message. */
export function datagramsLength(slot: u32): u32 {
  return load<u32>(messageAt(slot), MMSGHDR_LENGTH);
}

export function isTruncated(slot: u32): bool {
  return (load<u32>(messageAt(slot), MMSGHDR_FLAGS) & MSG_TRUNC) != 0;
}

/** sockaddr_in6 that a message came from. */
export function senderAt(slot: u32): usize {
  return workerAt + WORKER_UDP_RX_NAMES + <usize>slot * NODE_ENDPOINT_SIZE;
}

/** Size of every datagram of a message but the last, which may be shorter. */
export function datagramSize(slot: u32): u32 {
  const message = messageAt(slot);
  const whole = load<u32>(message, MMSGHDR_LENGTH);
  // cmsghdr: 8 bytes length, 4 level, 4 type, then an int (linux/udp.h, UDP_GRO). It is the only one we ask for.
  const control = controlAt(slot);
  if (load<u64>(message, MMSGHDR_CONTROL_LENGTH) < 20) return unmarkedSize(slot, whole);
  if (load<u32>(control, 8) != SOL_UDP || load<u32>(control, 12) != UDP_GRO) return whole;
  const size = load<u32>(control, 16);
  return size == 0 ? whole : size;
}

/**
 * A message without UDP_GRO's size is one datagram, unless UDP_GRO was switched off while it waited: the kernel then
 * gives the datagrams that it had joined without saying so. A datagram holds one packet, whose header tells its size.
 */
function unmarkedSize(slot: u32, whole: u32): u32 {
  if ((load<u32>(HEADER_AT, HEADER_OFFLOADS) & OFFLOAD_GRO_ENDED) == 0 || whole < <u32>IPV6_HEADER) return whole;
  const at = datagramsAt(slot);
  const version = load<u8>(at) >> 4;
  const size = version == 4 ? Ipv4.at(at).totalLength : version == 6 ? Ipv6.at(at).payloadLength + IPV6_HEADER : whole;
  return size < <u32>IPV4_MIN_HEADER ? whole : min(size, whole);
}

function messageAt(slot: u32): usize {
  return workerAt + WORKER_UDP_RX + <usize>slot * MMSGHDR_SIZE;
}

function controlAt(slot: u32): usize {
  return workerAt + WORKER_UDP_RX_CONTROLS + <usize>slot * CONTROL_SIZE;
}
