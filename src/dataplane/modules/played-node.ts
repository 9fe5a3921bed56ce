// Plays the kernel in one worker area, through the same structures as read(), recvmmsg(), writev() and sendmmsg(), so
// that an engine can be tried without devices. Native addresses are offsets here.

import { Region } from "../../../assembly/shared/layout/header.ts";
import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { IP_TOS, IPV6_TCLASS, SOL_IP, SOL_IPV6 } from "../../../assembly/shared/sockets.ts";
import type { SharedMemory } from "../../memory/shared-memory.ts";
import { parseAddress } from "../../net/address.ts";
import type { EngineExports } from "./engine-contract.ts";
import { instantiateEngine } from "./wasm.ts";

export interface TestPeer {
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

export interface TestMessage {
  readonly bytes: Uint8Array;
  readonly from: Omit<TestPeer, "id">;
  /** TOS or traffic class of its outer header. */
  readonly trafficClass: number;
}

/** From the TUN with its virtio_net_hdr, or from the tunnel. */
export type TestPacket =
  | { readonly direction: "egress"; readonly frame: Uint8Array }
  | { readonly direction: "ingress"; readonly message: TestMessage };

/** Both hexadecimal; `to` is address and port as in a sockaddr_in6. */
export interface SentMessage {
  readonly to: string;
  readonly content: string;
  /** TOS or traffic class of its outer headers. */
  readonly trafficClass: number;
}

/** u64 counters, and drops in both directions. */
const COUNTERS_BYTES = 3 * WorkerLayout.COUNTER_MAX * 8;

export class PlayedNode {
  readonly shared: SharedMemory;
  readonly #view: DataView;
  readonly #workerAt: number;
  readonly #addresses = new Map<string, Uint8Array>(); // of the peers

  constructor(shared: SharedMemory) {
    this.shared = shared;
    this.#view = new DataView(shared.memory.buffer);
    this.#workerAt = shared.at(Region.workers);
  }

  attach(
    module: WebAssembly.Module,
    choose: (serviceAt: number, flowHash: number, clientHash: number) => number = () => 0,
  ): EngineExports {
    const engine = instantiateEngine(module, this.shared.memory, choose);
    engine.attach(0, 0n);
    return engine;
  }

  /** The engine is in a generation of the tables. */
  get isInCall(): boolean {
    return (this.#u32(WorkerLayout.SEQUENCE) & 1) !== 0;
  }

  /** The only one of its direction. */
  put(packet: TestPacket): void {
    if (packet.direction === "egress") this.putFrames([packet.frame]);
    else this.putMessages([packet.message]);
  }

  putFrames(frames: readonly Uint8Array[]): void {
    frames.forEach((bytes, slot) => {
      this.shared.bytes.set(
        bytes,
        this.#workerAt + WorkerLayout.TUN_SLOTS + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM,
      );
      this.#setU32(WorkerLayout.TUN_LENGTHS + 4 * slot, bytes.length);
    });
  }

  /** Into the structures that attach() prepared, each a datagram of its own. */
  putMessages(messages: readonly TestMessage[]): void {
    messages.forEach(({ bytes, from, trafficClass }, index) => {
      const at = WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE;
      const iovecAt = this.#pointer(this.#workerAt + at + KernelLayout.MMSGHDR_IOV);
      this.shared.bytes.set(bytes, this.#pointer(iovecAt));
      this.#setU32(at + KernelLayout.MMSGHDR_LENGTH, bytes.length);
      this.#setU32(at + KernelLayout.MMSGHDR_FLAGS, 0);
      this.#putClass(this.#workerAt + at, from.address, trafficClass);
      this.#putSockaddr(this.#pointer(this.#workerAt + at + KernelLayout.MMSGHDR_NAME), from);
    });
  }

  /** Whom an error of the tunnel's socket is about. */
  putErrorName(peer: Omit<TestPeer, "id">): void {
    this.#putSockaddr(this.#workerAt + WorkerLayout.ERROR_NAME, peer);
  }

  sent(): SentMessage[] {
    return Array.from({ length: this.#u32(WorkerLayout.UDP_TX_COUNT) }, (_, i) => {
      const at = this.#workerAt + WorkerLayout.UDP_TX + i * KernelLayout.MMSGHDR_SIZE;
      const nameAt = this.#pointer(at + KernelLayout.MMSGHDR_NAME);
      return {
        to: this.#hex(nameAt + KernelLayout.SOCKADDR_ADDRESS, 16) + this.#hex(nameAt + KernelLayout.SOCKADDR_PORT, 2),
        content: this.#gather(
          this.#pointer(at + KernelLayout.MMSGHDR_IOV),
          this.#pointer(at + KernelLayout.MMSGHDR_IOV_COUNT),
        ),
        trafficClass: this.#classOf(at),
      };
    });
  }

  /** What is written to the TUN, hexadecimal, each with its virtio_net_hdr. */
  written(): string[] {
    return Array.from({ length: this.#u32(WorkerLayout.TUN_TX_COUNT) }, (_, i) => {
      const at = this.#workerAt + WorkerLayout.TUN_TX + i * WorkerLayout.TUN_TX_SIZE;
      return this.#gather(
        this.#pointer(at + WorkerLayout.TUN_TX_IOV),
        this.#view.getUint32(at + WorkerLayout.TUN_TX_IOV_COUNT, true),
      );
    });
  }

  /** All that the engine counts. */
  counters(): string {
    return this.#hex(this.#workerAt + WorkerLayout.COUNTERS, COUNTERS_BYTES);
  }

  /** As recvmmsg() tells it: a byte for IPv4, an int for IPv6. */
  #putClass(messageAt: number, sender: string, trafficClass: number): void {
    const isIpv4 = !sender.includes(":");
    const at = this.#pointer(messageAt + KernelLayout.MMSGHDR_CONTROL);
    this.#view.setBigUint64(at, BigInt(KernelLayout.CMSG_DATA + (isIpv4 ? 1 : 4)), true);
    this.#view.setUint32(at + KernelLayout.CMSG_LEVEL, isIpv4 ? SOL_IP : SOL_IPV6, true);
    this.#view.setUint32(at + KernelLayout.CMSG_TYPE, isIpv4 ? IP_TOS : IPV6_TCLASS, true);
    this.#view.setUint32(at + KernelLayout.CMSG_DATA, trafficClass, true);
    this.#view.setBigUint64(messageAt + KernelLayout.MMSGHDR_CONTROL_LENGTH, BigInt(KernelLayout.CMSG_SIZE), true);
  }

  /** As sendmmsg() takes it; 0 when no control message says it. */
  #classOf(messageAt: number): number {
    const start = this.#pointer(messageAt + KernelLayout.MMSGHDR_CONTROL);
    const end = start + this.#pointer(messageAt + KernelLayout.MMSGHDR_CONTROL_LENGTH);
    for (let at = start; at + KernelLayout.CMSG_DATA < end; ) {
      const level = this.#view.getUint32(at + KernelLayout.CMSG_LEVEL, true);
      const type = this.#view.getUint32(at + KernelLayout.CMSG_TYPE, true);
      if ((level === SOL_IP && type === IP_TOS) || (level === SOL_IPV6 && type === IPV6_TCLASS)) {
        return this.#view.getUint32(at + KernelLayout.CMSG_DATA, true);
      }
      at += Math.max(KernelLayout.CMSG_SIZE, (this.#pointer(at) + 7) & ~7);
    }
    return 0;
  }

  #putSockaddr(at: number, { address, port }: Omit<TestPeer, "id">): void {
    this.#view.setUint16(at + KernelLayout.SOCKADDR_FAMILY, KernelLayout.AF_INET6, true);
    this.#view.setUint16(at + KernelLayout.SOCKADDR_PORT, port, false);
    const bytes = this.#addresses.get(address) ?? parseAddress(address);
    if (bytes === undefined) throw new RangeError(`no address: ${address}`);
    this.#addresses.set(address, bytes);
    this.shared.bytes.set(bytes, at + KernelLayout.SOCKADDR_ADDRESS);
  }

  #gather(iovecAt: number, count: number): string {
    let content = "";
    for (let i = 0; i < count; i++) {
      const at = iovecAt + i * KernelLayout.IOVEC_SIZE;
      content += this.#hex(this.#pointer(at), this.#pointer(at + KernelLayout.IOVEC_LENGTH));
    }
    return content;
  }

  #hex(at: number, length: number): string {
    return Buffer.from(this.shared.bytes.subarray(at, at + length)).toString("hex");
  }

  #u32(offset: number): number {
    return this.#view.getUint32(this.#workerAt + offset, true);
  }

  #setU32(offset: number, value: number): void {
    this.#view.setUint32(this.#workerAt + offset, value, true);
  }

  #pointer(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }
}
