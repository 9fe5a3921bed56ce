// The system calls that the devices make, so that something may be between them and the kernel. Each returns as
// those of sys/libc.ts: what the call returned, or the negated errno.

import { read, recvmmsg, sendmmsg, writev } from "../../sys/libc.ts";

/** Of a TUN queue. */
export interface TunCalls {
  read(fd: number, at: number, size: number): number;
  writev(fd: number, iovecsAt: number, count: number): number;
}

/** Of the tunnel's socket. */
export interface UdpCalls {
  recvmmsg(fd: number, messagesAt: number, count: number): number;
  sendmmsg(fd: number, messagesAt: number, count: number): number;
}

export const KERNEL: TunCalls & UdpCalls = { read, writev, recvmmsg, sendmmsg };
