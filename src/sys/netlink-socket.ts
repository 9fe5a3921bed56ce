// A socket that hears what the kernel tells of changes in this network namespace (netlink(7)).
// Promises: reading never waits; `close()` twice is harmless.

import * as Libc from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
/** A datagram holds at most a page or 8 KiB (linux/netlink.h, NLMSG_GOODSIZE). */
const DATAGRAM_MAX = 32_768;
// asm-generic/fcntl.h
const F_SETFL = 4;
const F_SETOWN = 8;
const O_ASYNC = 0o20000;

// struct sockaddr_nl: u16 family, u16 pad, u32 pid, u32 groups
const SOCKADDR_NL_SIZE = 12;
const NL_GROUPS = 8;

interface NetlinkOptions {
  readonly protocol: number; // NETLINK_ROUTE and so on (linux/netlink.h)
  readonly groups: readonly number[]; // numbers of multicast groups, 1 to 32
  /** What does not fit is lost, and told as "lost". */
  readonly bufferSize: number;
}

export class NetlinkSocket {
  readonly #fd: number;
  readonly #bytes = new DataView(new ArrayBuffer(DATAGRAM_MAX));
  readonly #at = Number(Libc.addressOf(this.#bytes.buffer as ArrayBuffer));
  #isOpen = true;

  /** Throws system-call. */
  constructor({ protocol, groups, bufferSize }: NetlinkOptions) {
    this.#fd = Libc.expectSuccess(
      Libc.socket(AF_NETLINK, Libc.SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol),
      "Opening a socket for changes of the network",
    );
    try {
      const size = new Uint8Array(new Uint32Array([bufferSize]).buffer);
      Libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUF, size, size.byteLength); // else the default size has to do
      const address = new DataView(new ArrayBuffer(SOCKADDR_NL_SIZE));
      address.setUint16(0, AF_NETLINK, true);
      address.setUint32(
        NL_GROUPS,
        groups.reduce((mask, group) => mask + 2 ** (group - 1), 0),
        true,
      );
      const bound = Libc.bindSocket(this.#fd, new Uint8Array(address.buffer), SOCKADDR_NL_SIZE);
      Libc.expectSuccess(bound, "Subscribing to changes of the network");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** From now on this process gets SIGIO when there is something to read; it must listen to that signal. */
  signal(): void {
    const what = "Asking for a signal at changes of the network";
    Libc.expectSuccess(Libc.fcntlNumber(this.#fd, F_SETOWN, process.pid), what);
    Libc.expectSuccess(Libc.fcntlNumber(this.#fd, F_SETFL, O_ASYNC | SOCK_NONBLOCK), what);
  }

  /** The next datagram, which is valid until the next call; "lost": there were some that found no room. */
  read(): DataView | "none" | "lost" {
    for (;;) {
      const size = Libc.read(this.#fd, this.#at, DATAGRAM_MAX);
      if (size === -Libc.EAGAIN) return "none";
      if (size === -Libc.EINTR) continue;
      if (size === -Libc.ENOBUFS) return "lost";
      Libc.expectSuccess(size, "Reading changes of the network");
      return new DataView(this.#bytes.buffer, 0, size);
    }
  }

  close(): void {
    if (this.#isOpen) Libc.close(this.#fd);
    this.#isOpen = false;
  }
}
