// What comes back about datagrams that were sent: ICMP errors, and that one was too long for its way (IP_RECVERR,
// ip(7)). Promises: reading allocates nothing.

import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { SOL_IP, SOL_IPV6 } from "../../assembly/shared/sockets.ts";
import { addressOf, recvmsg } from "./libc.ts";

// linux/socket.h
const MSG_ERRQUEUE = 0x2000;
// linux/in.h, linux/in6.h
const IP_RECVERR = 11;
const IPV6_RECVERR = 25;
const CONTROL_SIZE = 256;
// struct sock_extended_err (linux/errqueue.h) in a control message
const EE_ERRNO = KernelLayout.CMSG_DATA;
const EE_ORIGIN = KernelLayout.CMSG_DATA + 4; // u8
const EE_INFO = KernelLayout.CMSG_DATA + 8;
const EE_END = KernelLayout.CMSG_DATA + 16;

export class ErrorQueue {
  readonly #fd: number;
  readonly #message = new BigUint64Array(KernelLayout.MSGHDR_SIZE / 8);
  readonly #iovec = new BigUint64Array(2);
  readonly #control = new Uint32Array(CONTROL_SIZE / 4);
  #quoted = 0;
  #errorAt = 0; // of the control message with the error; others may come before it
  readonly #messageAt: number;
  readonly #words: Uint32Array;

  /**
   * Native addresses: at `nameAt` KernelLayout.SOCKADDR_SIZE bytes, which take where the datagram was going; at
   * `quoteAt` WorkerLayout.ERROR_QUOTE_SIZE bytes for the beginning of its payload.
   */
  constructor(fd: number, nameAt: number, quoteAt: number) {
    this.#fd = fd;
    this.#words = new Uint32Array(this.#message.buffer);
    this.#message[KernelLayout.MMSGHDR_NAME / 8] = BigInt(nameAt);
    this.#iovec[0] = BigInt(quoteAt);
    this.#iovec[1] = BigInt(WorkerLayout.ERROR_QUOTE_SIZE);
    this.#message[KernelLayout.MMSGHDR_IOV / 8] = addressOf(this.#iovec.buffer);
    this.#message[KernelLayout.MMSGHDR_IOV_COUNT / 8] = 1n;
    this.#message[KernelLayout.MMSGHDR_CONTROL / 8] = addressOf(this.#control.buffer);
    this.#messageAt = Number(addressOf(this.#message.buffer));
  }

  /** Takes the next error. False: there is none. */
  next(): boolean {
    this.#words[KernelLayout.MMSGHDR_NAME_LENGTH / 4] = KernelLayout.SOCKADDR_SIZE;
    this.#words[KernelLayout.MMSGHDR_CONTROL_LENGTH / 4] = CONTROL_SIZE;
    this.#control.fill(0);
    this.#quoted = recvmsg(this.#fd, this.#messageAt, MSG_ERRQUEUE);
    this.#errorAt = this.#findError();
    return this.#quoted >= 0;
  }

  /** The socket asks for the TOS of what comes as well, which is told of the ICMP error, too. */
  #findError(): number {
    const last = CONTROL_SIZE - EE_END;
    for (let at = 0; at <= last; ) {
      const level = this.#word(at + KernelLayout.CMSG_LEVEL);
      const type = this.#word(at + KernelLayout.CMSG_TYPE);
      if ((level === SOL_IP && type === IP_RECVERR) || (level === SOL_IPV6 && type === IPV6_RECVERR)) return at;
      at += (Math.max(this.#word(at), KernelLayout.CMSG_DATA) + 7) & ~7;
    }
    return last; // zeros
  }

  #word(at: number): number {
    return this.#control[at / 4] as number;
  }

  /** Of the error that was taken last. */
  get errno(): number {
    return this.#word(this.#errorAt + EE_ERRNO);
  }

  /** SO_EE_ORIGIN_* (linux/errqueue.h): who reports it, our own kernel or an ICMP error. */
  get origin(): number {
    return this.#word(this.#errorAt + EE_ORIGIN) & 0xff;
  }

  /** How many bytes of the datagram's payload are quoted. */
  get quoted(): number {
    return this.#quoted;
  }

  /** The path MTU, when it is about a datagram that was too long. */
  get mtu(): number {
    return this.#word(this.#errorAt + EE_INFO);
  }
}
