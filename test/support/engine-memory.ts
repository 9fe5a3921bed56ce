// Plays the kernel for an engine in one worker area: puts frames and messages where read() and recvmmsg() would, and
// reads what writev() and sendmmsg() would send, through the same iovec and msghdr structures. The memory's native
// base is given as 0, so that native addresses are offsets.
import { Counter } from "../../assembly/shared/counters.ts";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import {
  IP_TOS,
  IPV6_TCLASS,
  SOL_IP,
  SOL_IPV6,
  SOL_UDP,
  UDP_GRO,
  UDP_PAYLOAD_MAX,
  UDP_SEGMENT,
  UDP_SEGMENTS_MAX,
} from "../../assembly/shared/sockets.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import { addressBytes, addressText } from "./packet-builder.ts";
import type { CounterName, CountName, Counts, DropName } from "./reference/counts.ts";
import { endpointText } from "./reference/tables.ts";
import type { Message } from "./reference/translator.ts";

/** recvmsg() cut the message: linux/socket.h. */
const MSG_TRUNC = 0x20;
/** sizeof(struct cmsghdr) on 64-bit Linux. */
const CMSG_HEADER = 16;
/** CMSG_SPACE() of up to 8 bytes. */
const CMSG_SPACE = CMSG_HEADER + 8;
const V4_MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** A message of the UDP transmit queue, as sendmmsg would take it. */
export interface SentMessage {
  readonly endpoint: string;
  /** The datagrams that the kernel makes of it. */
  readonly datagrams: readonly Uint8Array[];
  /** What the engine says how many inner packets it carries. */
  readonly packetCount: number;
  /** TOS or traffic class of the outer headers. */
  readonly trafficClass: number;
  /** KernelLayout.FRAGMENTS_*: whether the kernel may cut its datagrams. */
  readonly fragments: number;
}

export interface TunWrite {
  readonly bytes: Uint8Array;
  readonly packetCount: number;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What an error of the tunnel's socket says of a datagram. */
export interface ErrorAbout {
  /** What fits, headers included. */
  readonly mtu?: number;
  /** The kernel did not send it. Otherwise an ICMP error came, from anybody. */
  readonly isLocal?: boolean;
  /** Its payload, as far as it is quoted, and whether this node sends such. */
  readonly quote?: Uint8Array;
  readonly isOurs?: boolean;
}

// linux/errqueue.h
const SO_EE_ORIGIN_LOCAL = 1;
const SO_EE_ORIGIN_ICMP = 2;

export function originOf({ isLocal = false }: ErrorAbout): number {
  return isLocal ? SO_EE_ORIGIN_LOCAL : SO_EE_ORIGIN_ICMP;
}

export class EngineMemory {
  readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly counters: BigUint64Array;
  private readonly counterNames: readonly (CountName | undefined)[];
  private readonly endpoints = new Map<string, string>();

  constructor(
    memory: WebAssembly.Memory,
    readonly workerAt: number,
  ) {
    this.view = new DataView(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.counterNames = countNames();
    this.counters = new BigUint64Array(memory.buffer, workerAt + WorkerLayout.COUNTERS, this.counterNames.length);
  }

  /** What read() on the TUN leaves behind. */
  putFrame(slot: number, frame: Uint8Array): void {
    this.bytes.set(
      frame,
      this.workerAt + WorkerLayout.TUN_SLOTS + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM,
    );
    this.view.setUint32(this.workerAt + WorkerLayout.TUN_LENGTHS + 4 * slot, frame.length, true);
  }

  /** What recvmmsg() leaves behind, in the structures that attach() prepared. */
  putMessage(index: number, message: Message): void {
    const at = this.workerAt + WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE;
    const iovec = this.u64(at + KernelLayout.MMSGHDR_IOV);
    const room = this.u64(iovec + KernelLayout.IOVEC_LENGTH);
    if (message.bytes.length > room) throw new RangeError(`a message of ${message.bytes.length} bytes does not fit`);
    this.bytes.set(message.bytes, this.u64(iovec));
    this.view.setUint32(at + KernelLayout.MMSGHDR_LENGTH, message.bytes.length, true);
    this.view.setUint32(at + KernelLayout.MMSGHDR_FLAGS, message.isTruncated ? MSG_TRUNC : 0, true);
    this.view.setUint32(at + KernelLayout.MMSGHDR_NAME_LENGTH, KernelLayout.SOCKADDR_SIZE, true);
    this.putSockaddr(this.u64(at + KernelLayout.MMSGHDR_NAME), message.address, message.port);
    this.setU64(at + KernelLayout.MMSGHDR_CONTROL_LENGTH, 0);
    const { segmentSize, trafficClass } = message;
    if (segmentSize !== undefined) this.addControl(at, SOL_UDP, UDP_GRO, 4, segmentSize);
    if (trafficClass === undefined) return;
    // linux/net/ipv4/ip_sockglue.c gives a byte, linux/net/ipv6/datagram.c an int.
    if (addressBytes(message.address).length === 4) this.addControl(at, SOL_IP, IP_TOS, 1, trafficClass);
    else this.addControl(at, SOL_IPV6, IPV6_TCLASS, 4, trafficClass);
  }

  /** Appends a control message to a receive message, as put_cmsg() does: what is behind a byte is not cleared. */
  private addControl(messageAt: number, level: number, type: number, size: 1 | 4, value: number): void {
    const length = this.u64(messageAt + KernelLayout.MMSGHDR_CONTROL_LENGTH);
    const at = this.u64(messageAt + KernelLayout.MMSGHDR_CONTROL) + length;
    this.setU64(at, CMSG_HEADER + size);
    this.view.setInt32(at + 8, level, true);
    this.view.setInt32(at + 12, type, true);
    this.view.setUint32(at + CMSG_HEADER, size === 1 ? 0xeeeeee00 + value : value, true);
    this.setU64(messageAt + KernelLayout.MMSGHDR_CONTROL_LENGTH, length + CMSG_SPACE);
  }

  /** What an error of the tunnel's socket is about; returns how much of the datagram it quotes. */
  putError({ address, port }: Endpoint, quote: Uint8Array = new Uint8Array()): number {
    const quoted = quote.subarray(0, WorkerLayout.ERROR_QUOTE_SIZE);
    this.putSockaddr(this.workerAt + WorkerLayout.ERROR_NAME, address, port);
    this.bytes.set(quoted, this.workerAt + WorkerLayout.ERROR_QUOTE);
    return quoted.length;
  }

  sentMessages(): SentMessage[] {
    return this.messages(WorkerLayout.UDP_TX, this.view.getUint32(this.workerAt + WorkerLayout.UDP_TX_COUNT, true));
  }

  retryMessages(count: number): SentMessage[] {
    return this.messages(WorkerLayout.UDP_RETRY, count);
  }

  tunWrites(): TunWrite[] {
    const count = this.view.getUint32(this.workerAt + WorkerLayout.TUN_TX_COUNT, true);
    const writes: TunWrite[] = [];
    for (let i = 0; i < count; i++) {
      const at = this.workerAt + WorkerLayout.TUN_TX + i * WorkerLayout.TUN_TX_SIZE;
      const bytes = this.gather(
        this.u64(at + WorkerLayout.TUN_TX_IOV),
        this.view.getUint32(at + WorkerLayout.TUN_TX_IOV_COUNT, true),
      );
      writes.push({ bytes, packetCount: this.view.getUint32(at + WorkerLayout.TUN_TX_PACKETS, true) });
    }
    return writes;
  }

  snapshot(): BigUint64Array {
    return this.counters.slice();
  }

  /** What was counted since the snapshot, without what stayed. */
  countsSince(before: BigUint64Array): Counts {
    const counts: Counts = {};
    for (let i = 0; i < before.length; i++) {
      const grown = (this.counters[i] as bigint) - (before[i] as bigint);
      if (grown === 0n) continue;
      const name = this.counterNames[i];
      if (name === undefined) throw new Error(`a counter without a name moved: ${i}`);
      counts[name] = Number(grown);
    }
    return counts;
  }

  private messages(queue: number, count: number): SentMessage[] {
    const messages: SentMessage[] = [];
    for (let i = 0; i < count; i++) {
      const at = this.workerAt + queue + i * KernelLayout.MMSGHDR_SIZE;
      const content = this.gather(
        this.u64(at + KernelLayout.MMSGHDR_IOV),
        this.u64(at + KernelLayout.MMSGHDR_IOV_COUNT),
      );
      if (content.length > UDP_PAYLOAD_MAX) throw new Error(`a message of ${content.length} bytes: sendmsg refuses it`);
      const endpoint = this.endpoint(
        this.u64(at + KernelLayout.MMSGHDR_NAME),
        this.view.getUint32(at + KernelLayout.MMSGHDR_NAME_LENGTH, true),
      );
      const { segmentSize = content.length, trafficClass } = this.controls(at, !endpoint.includes("["));
      if (segmentSize === 0 || Math.ceil(content.length / segmentSize) > UDP_SEGMENTS_MAX)
        throw new Error(`${content.length} bytes in segments of ${segmentSize}`);
      messages.push({
        endpoint,
        datagrams: split(content, segmentSize),
        trafficClass,
        packetCount: this.view.getUint32(at + KernelLayout.MMSGHDR_LENGTH, true),
        fragments: this.view.getUint32(at + KernelLayout.MMSGHDR_FRAGMENTS, true),
      });
    }
    return messages;
  }

  /** What the control messages of a message to be sent say: at most one of each, of the family that it goes in. */
  private controls(messageAt: number, isIpv4: boolean): { segmentSize?: number; trafficClass: number } {
    const found: { segmentSize?: number; trafficClass: number } = { trafficClass: 0 };
    const end =
      this.u64(messageAt + KernelLayout.MMSGHDR_CONTROL) + this.u64(messageAt + KernelLayout.MMSGHDR_CONTROL_LENGTH);
    for (let at = this.u64(messageAt + KernelLayout.MMSGHDR_CONTROL); at < end; at += CMSG_SPACE) {
      const name = [
        this.u64(at) - CMSG_HEADER,
        this.view.getInt32(at + 8, true),
        this.view.getInt32(at + 12, true),
      ].join();
      if (at + this.u64(at) > end) throw new Error("the control length cuts a control message off");
      const value = this.view.getUint32(at + CMSG_HEADER, true);
      if (name === [2, SOL_UDP, UDP_SEGMENT].join() && found.segmentSize === undefined) {
        found.segmentSize = value & 0xffff;
      } else if (name === (isIpv4 ? [4, SOL_IP, IP_TOS] : [4, SOL_IPV6, IPV6_TCLASS]).join() && value <= 0xff) {
        found.trafficClass = value;
      } else {
        throw new Error(`not a control message that is due: ${name}, value ${value}`);
      }
    }
    return found;
  }

  private gather(iovecAt: number, count: number): Uint8Array {
    let length = 0;
    for (let i = 0; i < count; i++)
      length += this.u64(iovecAt + i * KernelLayout.IOVEC_SIZE + KernelLayout.IOVEC_LENGTH);
    const content = new Uint8Array(length);
    let to = 0;
    for (let i = 0; i < count; i++) {
      const base = this.u64(iovecAt + i * KernelLayout.IOVEC_SIZE);
      const size = this.u64(iovecAt + i * KernelLayout.IOVEC_SIZE + KernelLayout.IOVEC_LENGTH);
      if (base + size > this.bytes.length) throw new Error(`an iovec points out of the memory: ${base} + ${size}`);
      content.set(this.bytes.subarray(base, base + size), to);
      to += size;
    }
    return content;
  }

  private endpoint(at: number, length: number): string {
    if (length !== KernelLayout.SOCKADDR_SIZE)
      throw new Error(`name length ${length}, expected sizeof(struct sockaddr_in6)`);
    const key = Buffer.from(this.bytes.buffer, at, KernelLayout.SOCKADDR_SIZE).toString("latin1");
    let text = this.endpoints.get(key);
    if (text === undefined) {
      if (this.view.getUint16(at + KernelLayout.SOCKADDR_FAMILY, true) !== KernelLayout.AF_INET6)
        throw new Error("no sockaddr_in6");
      const address = this.bytes.slice(at + KernelLayout.SOCKADDR_ADDRESS, at + KernelLayout.SOCKADDR_ADDRESS + 16);
      const isV4 = V4_MAPPED.every((byte, i) => address[i] === byte);
      text = endpointText(
        addressText(isV4 ? address.subarray(12) : address),
        this.view.getUint16(at + KernelLayout.SOCKADDR_PORT, false),
      );
      this.endpoints.set(key, text);
    }
    return text;
  }

  private putSockaddr(at: number, address: string, port: number): void {
    const raw = addressBytes(address);
    this.bytes.fill(0, at, at + KernelLayout.SOCKADDR_SIZE);
    this.view.setUint16(at + KernelLayout.SOCKADDR_FAMILY, KernelLayout.AF_INET6, true);
    this.view.setUint16(at + KernelLayout.SOCKADDR_PORT, port, false);
    this.bytes.set(raw.length === 4 ? [...V4_MAPPED, ...raw] : raw, at + KernelLayout.SOCKADDR_ADDRESS);
  }

  private u64(at: number): number {
    return Number(this.view.getBigUint64(at, true));
  }

  private setU64(at: number, value: number): void {
    this.view.setBigUint64(at, BigInt(value), true);
  }
}

/** The datagrams of one send: all of one size but the last. */
function split(content: Uint8Array, size: number): Uint8Array[] {
  if (content.length === 0) return [content];
  const datagrams: Uint8Array[] = [];
  for (let at = 0; at < content.length; at += size) datagrams.push(content.subarray(at, at + size));
  return datagrams;
}

/** Name of each u64 from WORKER_COUNTERS on. */
function countNames(): (CountName | undefined)[] {
  const names = new Array<CountName | undefined>(WorkerLayout.COUNTER_MAX * 3).fill(undefined);
  for (let i = 0; i < Counter.count; i++) names[i] = Counter[i] as CounterName;
  for (let reason = 1; reason < DropReason.count; reason++) {
    const name = DropReason[reason] as DropName;
    names[(WorkerLayout.EGRESS_DROPS - WorkerLayout.COUNTERS) / 8 + reason] = `egressDrop.${name}`;
    names[(WorkerLayout.INGRESS_DROPS - WorkerLayout.COUNTERS) / 8 + reason] = `ingressDrop.${name}`;
  }
  return names;
}
