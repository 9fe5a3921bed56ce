// A UDP socket of the measuring tools: batches by sendmmsg and recvmmsg straight from and to memory that never moves,
// so that the tool costs little beside the path. IPv4 peers are v4-mapped. Everything in a batch goes to one peer.
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import { parseAddress } from "../../src/net/address.ts";
import * as Libc from "../../src/sys/libc.ts";
import { Poller } from "../../src/sys/poll.ts";

/** What is received is cut to it. */
const DATAGRAM_SIZE = 64;
export const BATCH_SIZE = 64;

// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const RECEIVE_BUFFER_SIZE = 8 * 1024 * 1024; // never what loses a datagram

const MESSAGES = 0; // mmsghdr x WorkerLayout.BATCH_SIZE
const IOVECS = MESSAGES + KernelLayout.MMSGHDR_SIZE * BATCH_SIZE;
const PEER = IOVECS + KernelLayout.IOVEC_SIZE * BATCH_SIZE; // sockaddr_in6, which all messages name
const PAYLOADS = PEER + 32;

export class DatagramSocket {
  readonly fd: number;
  readonly #size: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #at: number;
  readonly #writable: Poller;

  /**
   * Blocks in `receiveOne`, for `timeoutMs` at most; nothing else blocks for ever. Lives as long as its process.
   * `size`: of what is sent.
   */
  constructor(port: number, timeoutMs: number, size = DATAGRAM_SIZE) {
    this.#size = size;
    this.#bytes = new Uint8Array(new ArrayBuffer(PAYLOADS + size * BATCH_SIZE));
    this.#view = new DataView(this.#bytes.buffer);
    this.#at = Number(Libc.addressOf(this.#bytes.buffer));
    this.fd = Libc.expectSuccess(Libc.socket(KernelLayout.AF_INET6, Libc.SOCK_DGRAM, 0), "Opening a UDP socket");
    this.#writable = new Poller([this.fd], Libc.POLLOUT);
    const buffer = new Uint8Array(new Uint32Array([RECEIVE_BUFFER_SIZE]).buffer);
    Libc.setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, buffer, buffer.byteLength); // else the default size has to do
    const timeval = new BigInt64Array([BigInt(Math.floor(timeoutMs / 1000)), BigInt((timeoutMs % 1000) * 1000)]);
    const timeout = new Uint8Array(timeval.buffer);
    Libc.expectSuccess(
      Libc.setsockopt(this.fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.byteLength),
      "Setting SO_RCVTIMEO",
    );
    this.#view.setUint16(PEER, KernelLayout.AF_INET6, true);
    this.#view.setUint16(PEER + KernelLayout.SOCKADDR_PORT, port);
    const local = this.#bytes.subarray(PEER, PEER + KernelLayout.SOCKADDR_SIZE);
    Libc.expectSuccess(Libc.bindSocket(this.fd, local, KernelLayout.SOCKADDR_SIZE), `Binding UDP port ${port}`);
    for (let index = 0; index < BATCH_SIZE; index++) this.#writeMessage(index);
  }

  setPeer(address: string, port: number): void {
    const bytes = parseAddress(address);
    if (bytes === undefined) throw new RangeError(`"${address}" is not an address.`);
    this.#bytes.set(bytes, PEER + KernelLayout.SOCKADDR_ADDRESS);
    this.#view.setUint16(PEER + KernelLayout.SOCKADDR_PORT, port);
  }

  /** Sends `count` datagrams, the first one marked; returns how many. Waits when the socket's buffer is full. */
  send(count: number): number {
    const sent = Libc.sendmmsg(this.fd, this.#at + MESSAGES, count);
    if (sent === -Libc.EAGAIN || sent === -Libc.ENOBUFS) {
      this.#writable.wait(1);
      return 0;
    }
    // A proxy that has not learned of the peer yet, or a server that is gone: the datagram counts as lost.
    return sent === -Libc.ECONNREFUSED || sent === -Libc.EINTR
      ? 0
      : Libc.expectSuccess(sent, "Sending datagrams (sendmmsg)");
  }

  /** Waits for a datagram; whether one came. */
  receiveOne(): boolean {
    const size = Libc.read(this.fd, this.#at + PAYLOADS, DATAGRAM_SIZE);
    if (size === -Libc.EAGAIN || size === -Libc.EINTR || size === -Libc.ECONNREFUSED) return false;
    Libc.expectSuccess(size, "Receiving a datagram (read)");
    return true;
  }

  /** Takes what has arrived, BATCH_SIZE at most, without waiting; the sender of the last becomes the peer. */
  receiveWaiting(): number {
    const count = Libc.recvmmsg(this.fd, this.#at + MESSAGES, BATCH_SIZE);
    if (count === -Libc.EAGAIN || count === -Libc.EINTR || count === -Libc.ECONNREFUSED) return 0;
    return Libc.expectSuccess(count, "Receiving datagrams (recvmmsg)");
  }

  /** Marks the datagram that `send` sends. */
  setMark(mark: number): void {
    this.#view.setUint32(PAYLOADS, mark, true);
  }

  /** The mark of the datagram that `receiveOne` took. */
  get mark(): number {
    return this.#view.getUint32(PAYLOADS, true);
  }

  /** The mark of a datagram that `receiveWaiting` took. */
  markOf(index: number): number {
    return this.#view.getUint32(PAYLOADS + this.#size * index, true);
  }

  #writeMessage(index: number): void {
    const message = MESSAGES + index * KernelLayout.MMSGHDR_SIZE;
    const iovec = IOVECS + index * KernelLayout.IOVEC_SIZE;
    this.#view.setBigUint64(message + KernelLayout.MMSGHDR_NAME, BigInt(this.#at + PEER), true);
    this.#view.setUint32(message + KernelLayout.MMSGHDR_NAME_LENGTH, KernelLayout.SOCKADDR_SIZE, true);
    this.#view.setBigUint64(message + KernelLayout.MMSGHDR_IOV, BigInt(this.#at + iovec), true);
    this.#view.setBigUint64(message + KernelLayout.MMSGHDR_IOV_COUNT, 1n, true);
    this.#view.setUint32(message + KernelLayout.MMSGHDR_LENGTH, 0, true);
    this.#view.setBigUint64(iovec, BigInt(this.#at + PAYLOADS + this.#size * index), true);
    this.#view.setBigUint64(iovec + KernelLayout.IOVEC_LENGTH, BigInt(this.#size), true);
  }
}
