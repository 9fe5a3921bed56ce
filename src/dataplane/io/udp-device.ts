// The tunnel's socket of one worker: receives into the engine's slots and sends what it queued, many messages a call.

import { Counter } from "../../../assembly/shared/counters.ts";
import * as KernelLayout from "../../../assembly/shared/layout/kernel.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { SapwoodError } from "../../base/errors.ts";
import { ErrorQueue } from "../../sys/error-queue.ts";
import * as Libc from "../../sys/libc.ts";
import { Poller } from "../../sys/poll.ts";
import { setFragments } from "../../sys/udp-socket.ts";
import { KERNEL, type UdpCalls } from "./calls.ts";
import { BATCH_BYTES, type DatagramDevice, type WorkerArea } from "./device.ts";

/** Longest wait for room in the kernel, per queue and in pieces. */
const WAIT_MS = 2;
const WAITS_MAX = 4;

const ERRORS_MAX = 64;

/** Fewer messages than this are not worth a call, however large they were lately. */
const MESSAGES_MIN = 4;

/** The part of the engine that knows what to do about what the socket refuses. */
export interface UdpFaults {
  /** As EngineExports.udpRejected. */
  udpRejected(message: number, errno: number): number;
  /** As EngineExports.pathError. */
  pathError(errno: number, origin: number, mtu: number, quoted: number): void;
}

export class UdpDevice implements DatagramDevice {
  readonly #fd: number;
  readonly #area: WorkerArea;
  readonly #faults: UdpFaults;
  readonly #calls: UdpCalls;
  readonly #errors: ErrorQueue;
  readonly #writable: Poller;
  #usedMessages = WorkerLayout.BATCH_SIZE; // receive structures that the last call may have altered
  #waitsLeft = 0;
  #messagesWanted = WorkerLayout.BATCH_SIZE;

  constructor(fd: number, area: WorkerArea, faults: UdpFaults, calls: UdpCalls = KERNEL) {
    this.#fd = fd;
    this.#area = area;
    this.#faults = faults;
    this.#calls = calls;
    this.#errors = new ErrorQueue(fd, area.nativeAt(WorkerLayout.ERROR_NAME), area.nativeAt(WorkerLayout.ERROR_QUOTE));
    this.#writable = new Poller([fd], Libc.POLLOUT);
  }

  receiveBatch(): number {
    const area = this.#area;
    this.#renewMessages();
    const limit = this.#messagesWanted;
    let count = this.#calls.recvmmsg(this.#fd, area.nativeAt(WorkerLayout.UDP_RX), limit);
    if (count <= 0) {
      // An error that an earlier send caused is reported once, in place of what is waiting behind it; and poll reports
      // the socket as ready as long as the error queue holds one.
      if (isLost(-count)) throw lostSocket(-count);
      this.#readErrors();
      if (count !== -Libc.EAGAIN) count = this.#calls.recvmmsg(this.#fd, area.nativeAt(WorkerLayout.UDP_RX), limit);
    }
    if (count <= 0) return 0; // EAGAIN: nothing is waiting. Anything else passes, and poll tells when to try again.
    this.#usedMessages = count;
    area.count(Counter.udpReceivedMessages, count);
    area.count(Counter.udpReceivedBatches, 1);
    area.countBatch(WorkerLayout.UDP_BATCHES, count);
    this.#adaptMessages(count);
    return count;
  }

  /** As many messages as made BATCH_BYTES the last time. */
  #adaptMessages(count: number): void {
    let bytes = 0;
    for (let index = 0; index < count; index++) {
      bytes += this.#area.word(WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH);
    }
    const wanted = Math.ceil((BATCH_BYTES * count) / Math.max(bytes, 1));
    this.#messagesWanted = Math.max(MESSAGES_MIN, Math.min(WorkerLayout.BATCH_SIZE, wanted));
  }

  sendQueue(): void {
    const count = this.#area.word(WorkerLayout.UDP_TX_COUNT);
    if (count === 0) return;
    this.#waitsLeft = WAITS_MAX;
    const isMixed = this.#area.word(WorkerLayout.UDP_TX_FRAGMENTED) > 0;
    for (let first = 0; first < count; ) {
      const limit = isMixed ? this.#endOfRun(first, count) : count;
      const end = first + this.#sendAs(this.#mayFragment(first), first, limit);
      if (end < limit) this.#replace(end);
      first = end < limit ? end + 1 : limit;
    }
    this.#area.setWord(WorkerLayout.UDP_TX_COUNT, 0);
  }

  /** End of the messages from `first` on that may, or may not, be sent in fragments as that one. */
  #endOfRun(first: number, count: number): number {
    let end = first + 1;
    while (end < count && this.#mayFragment(end) === this.#mayFragment(first)) end += 1;
    return end;
  }

  #mayFragment(message: number): boolean {
    return (
      this.#area.word(WorkerLayout.UDP_TX + message * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_FRAGMENTS) ===
      KernelLayout.FRAGMENTS_ALLOWED
    );
  }

  #sendAs(inFragments: boolean, first: number, end: number): number {
    if (!inFragments) return this.#sendRun(WorkerLayout.UDP_TX, first, end);
    setFragments(this.#fd, true);
    const sent = this.#sendRun(WorkerLayout.UDP_TX, first, end);
    setFragments(this.#fd, false);
    return sent;
  }

  /** A bounded number at a time: a flood of ICMP errors must not keep us from receiving. */
  #readErrors(): void {
    for (let i = 0; i < ERRORS_MAX && this.#errors.next(); i++) {
      const { errno, origin, mtu, quoted } = this.#errors;
      this.#faults.pathError(errno, origin, mtu, quoted);
    }
  }

  /** recvmmsg() stored in them what came. */
  #renewMessages(): void {
    const area = this.#area;
    for (let index = 0; index < this.#usedMessages; index++) renewMessage(area, index);
    this.#usedMessages = 0;
  }

  #errno = 0;

  /**
   * Sends messages first...count-1 of the queue at `queueAt` up to one that fails. Returns how many were sent; when
   * that is fewer than all, #errno says why the next one was not.
   */
  #sendRun(queueAt: number, first: number, count: number): number {
    const area = this.#area;
    let next = first;
    let mayBeOldError = true;
    while (next < count) {
      const sent = this.#calls.sendmmsg(
        this.#fd,
        area.nativeAt(queueAt + next * KernelLayout.MMSGHDR_SIZE),
        count - next,
      );
      if (sent > 0) {
        next += sent;
        mayBeOldError = true;
        continue;
      }
      if (sent === -Libc.EINTR) continue;
      if (sent !== -Libc.EAGAIN && mayBeOldError) {
        // With IP_RECVERR a socket is told so of an earlier datagram; the message itself was perhaps not tried.
        mayBeOldError = false;
        this.#readErrors();
        continue;
      }
      if ((sent === -Libc.EAGAIN || sent === -Libc.ENOBUFS) && this.#waitsLeft > 0) {
        this.#waitsLeft -= 1;
        this.#writable.wait(WAIT_MS);
        continue;
      }
      this.#errno = -sent;
      break;
    }
    if (next > first) area.count(Counter.udpSentMessages, next - first);
    return next - first;
  }

  /** Message `message` of the transmit queue failed with #errno: sends what the engine has in its place. */
  #replace(message: number): void {
    const area = this.#area;
    const errno = this.#errno;
    // A message that was not sent still holds its count of packets.
    const packets = area.word(WorkerLayout.UDP_TX + message * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH);
    if (errno === Libc.EAGAIN || errno === Libc.ENOBUFS) {
      area.countEgressDrops(DropReason.queueFull, packets);
      return;
    }
    const count = this.#faults.udpRejected(message, errno);
    if (count === 0) this.#sendCut(WorkerLayout.UDP_TX, message);
    for (let first = 0; first < count; ) {
      const end = first + this.#sendRun(WorkerLayout.UDP_RETRY, first, count);
      if (end < count) this.#sendCut(WorkerLayout.UDP_RETRY, end);
      first = end + 1;
    }
  }

  /**
   * A single datagram that failed with #errno: when it is longer than its device takes, it goes in fragments, unless it
   * is a probe of that size. The engine learns what the device takes and makes what follows fit, but for packets of up
   * to 1,280 bytes: those must pass any path.
   */
  #sendCut(queueAt: number, message: number): void {
    const area = this.#area;
    const packets = area.word(queueAt + message * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_LENGTH);
    if (this.#errno === Libc.EMSGSIZE) {
      this.#readErrors();
      if (
        area.word(queueAt + message * KernelLayout.MMSGHDR_SIZE + KernelLayout.MMSGHDR_FRAGMENTS) ===
        KernelLayout.FRAGMENTS_NEVER
      )
        return; // its size is told
      setFragments(this.#fd, true);
      const sent = this.#sendRun(queueAt, message, message + 1);
      setFragments(this.#fd, false);
      if (sent === 1) return;
    }
    const isFull = this.#errno === Libc.EAGAIN || this.#errno === Libc.ENOBUFS;
    area.countEgressDrops(isFull ? DropReason.queueFull : DropReason.sendFailed, packets);
  }
}

/** Gives a receive structure back what recvmmsg() has to find there: how much room there is. */
export function renewMessage(area: WorkerArea, index: number): void {
  const at = WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE;
  area.setWord(at + KernelLayout.MMSGHDR_NAME_LENGTH, KernelLayout.SOCKADDR_SIZE);
  area.setWord(at + KernelLayout.MMSGHDR_CONTROL_LENGTH, KernelLayout.CONTROL_SIZE);
  area.setWord(at + KernelLayout.MMSGHDR_FLAGS, 0);
}

/** Errors after which the descriptor never works again. */
function isLost(errno: number): boolean {
  return errno === Libc.EBADF || errno === Libc.ENOTSOCK || errno === Libc.EFAULT || errno === Libc.EINVAL;
}

function lostSocket(errno: number): SapwoodError {
  return new SapwoodError("system-call", `Receiving from the tunnel (recvmmsg) failed with ${Libc.errnoName(errno)}.`);
}
