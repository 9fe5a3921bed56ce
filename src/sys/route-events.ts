// Tells that somebody changed a link, an address, a route or a rule of this network namespace (rtnetlink(7)).
// Promises: looking never waits; `close()` twice is harmless.

import {
  addressOf,
  bindSocket,
  close,
  EAGAIN,
  EINTR,
  ENOBUFS,
  expectSuccess,
  read,
  SOCK_RAW,
  setsockopt,
  socket,
} from "./libc.ts";

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const RECEIVE_BUFFER_SIZE = 1024 * 1024;
/** A datagram holds at most a page or 8 KiB (linux/netlink.h, NLMSG_GOODSIZE). */
const DATAGRAM_MAX = 32_768;
/** The most that are looked at in one go, so that many changes keep us from nothing else. */
const DATAGRAMS_MAX = 512;

// struct sockaddr_nl: u16 family, u16 pad, u32 pid, u32 groups
const SOCKADDR_NL_SIZE = 12;
const NL_GROUPS = 8;
// linux/rtnetlink.h: bit n - 1 of the mask is group RTNLGRP_n
const GROUPS = [
  1, // link
  5, // IPv4 addresses
  7, // IPv4 routes
  8, // IPv4 rules
  9, // IPv6 addresses
  11, // IPv6 routes
  19, // IPv6 rules
].reduce((mask, group) => mask + 2 ** (group - 1), 0);

// struct nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 pid
const HEADER = 16;
const TYPE = 4;
const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_NEWRULE = 32;
/** ifinfomsg and ifaddrmsg both have the interface's index there. */
const LINK_INDEX = HEADER + 4;
/** Behind struct rtmsg. */
const ROUTE_ATTRIBUTES = HEADER + 12;
const RTA_OIF = 4;

export class RouteEvents {
  readonly #fd: number;
  readonly #bytes = new DataView(new ArrayBuffer(DATAGRAM_MAX));
  readonly #at = Number(addressOf(this.#bytes.buffer as ArrayBuffer));
  #isOpen = true;

  constructor() {
    this.#fd = expectSuccess(
      socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE),
      "Opening a socket for changes of the network",
    );
    try {
      const size = new Uint8Array(new Uint32Array([RECEIVE_BUFFER_SIZE]).buffer);
      setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUF, size, size.byteLength); // else the default size has to do
      const address = new DataView(new ArrayBuffer(SOCKADDR_NL_SIZE));
      address.setUint16(0, AF_NETLINK, true);
      address.setUint32(NL_GROUPS, GROUPS, true);
      const bound = bindSocket(this.#fd, new Uint8Array(address.buffer), SOCKADDR_NL_SIZE);
      expectSuccess(bound, "Subscribing to changes of the network");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether, since the last call, something happened that may concern one of these interfaces. */
  concern(interfaces: readonly number[]): boolean {
    let isConcerned = false;
    for (let datagram = 0; datagram < DATAGRAMS_MAX; datagram++) {
      const size = read(this.#fd, this.#at, DATAGRAM_MAX);
      if (size === -EAGAIN) return isConcerned;
      if (size === -EINTR) continue;
      if (size === -ENOBUFS) {
        isConcerned = true; // some were lost, and nobody knows which
        continue;
      }
      expectSuccess(size, "Reading changes of the network");
      isConcerned ||= concerns(new DataView(this.#bytes.buffer, 0, size), interfaces);
    }
    return true; // there are more of them
  }

  close(): void {
    if (this.#isOpen) close(this.#fd);
    this.#isOpen = false;
  }
}

/** Whether a datagram of rtnetlink has a message about one of these interfaces, or about a rule. */
export function concerns(bytes: DataView, interfaces: readonly number[]): boolean {
  for (let at = 0; at + HEADER <= bytes.byteLength; ) {
    const length = bytes.getUint32(at, true);
    if (length < HEADER || at + length > bytes.byteLength) return false;
    const message = new DataView(bytes.buffer, bytes.byteOffset + at, length);
    const kind = message.getUint16(TYPE, true) & ~3; // of RTM_NEW..., RTM_DEL..., RTM_GET..., RTM_SET...
    if (kind === RTM_NEWRULE) return true;
    const found = kind === RTM_NEWROUTE ? outgoing(message) : linkIndex(message, kind);
    if (found !== undefined && interfaces.includes(found)) return true;
    at += align(length);
  }
  return false;
}

function linkIndex(message: DataView, kind: number): number | undefined {
  if (kind !== RTM_NEWLINK && kind !== RTM_NEWADDR) return undefined;
  return LINK_INDEX + 4 <= message.byteLength ? message.getInt32(LINK_INDEX, true) : undefined;
}

/** The interface that a route leads to. */
function outgoing(message: DataView): number | undefined {
  for (let at = ROUTE_ATTRIBUTES; at + 8 <= message.byteLength; ) {
    const length = message.getUint16(at, true); // struct rtattr: u16 length, u16 type
    if (length < 4) return undefined;
    if (message.getUint16(at + 2, true) === RTA_OIF) return message.getInt32(at + 4, true);
    at += align(length);
  }
  return undefined;
}

function align(length: number): number {
  return (length + 3) & ~3;
}
