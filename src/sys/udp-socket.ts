// Opens the tunnel's UDP socket: one KernelLayout.AF_INET6 socket for IPv4 and IPv6 peers, the former v4-mapped
// (RFC 3493 section 3.7), non-blocking, with large buffers and the kernel's segmentation offloads.

import { fstatSync } from "node:fs";
import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as Protocol from "../../assembly/shared/protocol.ts";
import {
  IP_RECVTOS,
  IPV6_RECVTCLASS,
  SOL_IP,
  SOL_IPV6,
  SOL_UDP,
  UDP_GRO,
  UDP_SEGMENT,
} from "../../assembly/shared/sockets.ts";
import { SapwoodError } from "../base/errors.ts";
import { ADDRESS_SIZE, canonicalAddress, formatAddress, parseAddress } from "../net/address.ts";
import * as Libc from "./libc.ts";
import { type OffloadName, type OffloadState, offloadOff, offloadOn, type SwitchedOff } from "./offload.ts";

// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_PROTOCOL = 38;
const SO_DOMAIN = 39;
const SO_MEMINFO = 55;
// linux/sock_diag.h: what SO_MEMINFO answers, as u32 each
const SK_MEMINFO_DROPS = 8;
const SK_MEMINFO_VARS = 9;
// linux/in.h, linux/in6.h
const IP_MTU_DISCOVER = 10;
const IP_RECVERR = 11;
const IPV6_MTU_DISCOVER = 23;
const IPV6_RECVERR = 25;
const IPV6_V6ONLY = 26;
// The same numbers for both families
const PMTUDISC_WANT = 1;
const PMTUDISC_PROBE = 3;
const PMTUDISC_OMIT = 5;

/** About 10 ms of traffic at 6 Gbit/s: what may arrive while the worker is not scheduled. */
const BUFFER_SIZE = 8 * 1024 * 1024;

interface UdpSocketOptions {
  readonly address: string; // local underlay address, or "::" for any
  readonly port: number; // 0 lets the kernel choose
  readonly reusePort: boolean; // one socket per worker on the same port
  readonly switchedOff: SwitchedOff;
}

export interface UdpSocket {
  readonly fd: number;
  readonly port: number; // the one that is bound
  readonly offloads: readonly OffloadState[]; // as they were settled last
  /** Agrees with the kernel on offloads anew. What was joined by UDP_GRO before it ended comes without its size. */
  settleOffloads(switchedOff: SwitchedOff): readonly OffloadState[];
  /** Messages that the kernel dropped because this socket's buffer was full, modulo 2^32. */
  receiveDrops(): number;
  close(): void;
}

/** Throws port-in-use, missing-rights, network-setup or system-call; then nothing is left open. */
export function openUdpSocket(options: UdpSocketOptions): UdpSocket {
  const fd = Libc.expectSuccess(
    Libc.socket(KernelLayout.AF_INET6, Libc.SOCK_DGRAM | Libc.O_NONBLOCK | Libc.O_CLOEXEC, Protocol.UDP),
    "Opening the tunnel's IPv6 UDP socket",
  );
  let isOpen = true;
  const closeOnce = () => {
    if (isOpen) Libc.close(fd);
    isOpen = false;
  };
  try {
    Libc.expectSuccess(setNumber(fd, SOL_IPV6, IPV6_V6ONLY, 0), "Accepting IPv4 on the tunnel's socket (IPV6_V6ONLY)");
    if (options.reusePort) Libc.expectSuccess(setNumber(fd, SOL_SOCKET, SO_REUSEPORT, 1), "Setting SO_REUSEPORT");
    growBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    growBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    setFragments(fd, false);
    Libc.expectSuccess(setNumber(fd, SOL_IP, IP_RECVERR, 1), "Asking for errors about IPv4 datagrams (IP_RECVERR)");
    Libc.expectSuccess(
      setNumber(fd, SOL_IPV6, IPV6_RECVERR, 1),
      "Asking for errors about IPv6 datagrams (IPV6_RECVERR)",
    );
    Libc.expectSuccess(setNumber(fd, SOL_IP, IP_RECVTOS, 1), "Asking for the TOS of IPv4 datagrams (IP_RECVTOS)");
    Libc.expectSuccess(
      setNumber(fd, SOL_IPV6, IPV6_RECVTCLASS, 1),
      "Asking for the traffic class of IPv6 datagrams (IPV6_RECVTCLASS)",
    );
    bindTo(fd, options);
    return openedSocket(fd, options.switchedOff, closeOnce);
  } catch (error) {
    closeOnce();
    throw error;
  }
}

/**
 * A socket of the tunnel that another process passed on, which may be reading it still. It is this process's to close,
 * also when this throws network-setup because it is something else.
 */
export function adoptUdpSocket(fd: number, options: Omit<UdpSocketOptions, "reusePort">): UdpSocket {
  const { address, port, switchedOff } = options;
  const expected = { SO_DOMAIN: KernelLayout.AF_INET6, SO_TYPE: Libc.SOCK_DGRAM, SO_PROTOCOL: Protocol.UDP };
  const found = fstatSync(fd).isSocket()
    ? {
        SO_DOMAIN: getNumber(fd, SO_DOMAIN),
        SO_TYPE: getNumber(fd, SO_TYPE),
        SO_PROTOCOL: getNumber(fd, SO_PROTOCOL),
      }
    : undefined;
  if (JSON.stringify(found) !== JSON.stringify(expected)) throw notTheTunnels("no UDP socket of IPv6", options);
  const bound = boundTo(fd);
  const isSame = bound.address === canonicalAddress(address) && (port === 0 || bound.port === port);
  if (!isSame) throw notTheTunnels(`one of ${bound.address}, port ${bound.port}`, options);
  let isOpen = true;
  return openedSocket(fd, switchedOff, () => {
    if (isOpen) Libc.close(fd);
    isOpen = false;
  });
}

function notTheTunnels(found: string, { address, port }: Omit<UdpSocketOptions, "reusePort">): SapwoodError {
  const sentence = `Expected the tunnel's socket of ${address}, port ${port}; found ${found}.`;
  return new SapwoodError("network-setup", sentence);
}

function openedSocket(fd: number, switchedOffFirst: SwitchedOff, closeOnce: () => void): UdpSocket {
  let offloads = settleOffloads(fd, switchedOffFirst);
  return {
    fd,
    port: boundTo(fd).port,
    get offloads() {
      return offloads;
    },
    settleOffloads(switchedOff) {
      offloads = settleOffloads(fd, switchedOff);
      return offloads;
    },
    receiveDrops: () => receiveDrops(fd),
    close: closeOnce,
  };
}

/**
 * One socket per worker, all on the same port. SO_REUSEPORT would also share the port with another process of this
 * user, and with it the traffic; so a socket without it is bound first, to find out whether the port is free.
 */
export function openUdpSockets(count: number, options: Omit<UdpSocketOptions, "reusePort">): UdpSocket[] {
  const alone = openUdpSocket({ ...options, reusePort: false });
  if (count === 1) return [alone];
  alone.close();
  const sockets: UdpSocket[] = [];
  try {
    while (sockets.length < count) sockets.push(openUdpSocket({ ...options, port: alone.port, reusePort: true }));
    return sockets;
  } catch (error) {
    for (const socket of sockets) socket.close();
    throw error;
  }
}

/**
 * Whether outer datagrams may be cut. Usually not: then they are sent with DF, the kernel refuses those that are too
 * long for its device (IP_RECVERR), and does not use the path MTU that it learnt itself, because it believes every ICMP
 * error; the engine finds the size out. Otherwise routers cut IPv4, without DF; nobody but the sender cuts IPv6, so
 * there the kernel does by the path MTU that it knows.
 */
export function setFragments(fd: number, isAllowed: boolean): void {
  const how = isAllowed ? { v4: PMTUDISC_OMIT, v6: PMTUDISC_WANT } : { v4: PMTUDISC_PROBE, v6: PMTUDISC_PROBE };
  Libc.expectSuccess(setNumber(fd, SOL_IP, IP_MTU_DISCOVER, how.v4), "Setting IP_MTU_DISCOVER");
  Libc.expectSuccess(setNumber(fd, SOL_IPV6, IPV6_MTU_DISCOVER, how.v6), "Setting IPV6_MTU_DISCOVER");
}

/** The FORCE variant passes over net.core.*mem_max and needs CAP_NET_ADMIN in the initial user namespace. */
function growBuffer(fd: number, forced: number, limited: number): void {
  if (setNumber(fd, SOL_SOCKET, forced, BUFFER_SIZE) < 0) {
    Libc.expectSuccess(setNumber(fd, SOL_SOCKET, limited, BUFFER_SIZE), "Setting the tunnel's socket buffers");
  }
}

function settleOffloads(fd: number, switchedOff: SwitchedOff): readonly OffloadState[] {
  return [settleSegment(fd, switchedOff["udp-gso"]), settleGro(fd, switchedOff["udp-gro"])];
}

/** The engine passes the segment size with each send; here is only asked whether the kernel knows the option. */
function settleSegment(fd: number, whyOff: string | undefined): OffloadState {
  const name: OffloadName = "udp-gso";
  if (whyOff !== undefined) return offloadOff(name, whyOff);
  const value = new Uint32Array(1);
  const result = Libc.getsockopt(fd, SOL_UDP, UDP_SEGMENT, value, Uint32Array.of(value.byteLength));
  return result < 0
    ? offloadOff(name, `UDP_SEGMENT: ${Libc.errnoName(result)}, Linux before 4.18 has none`)
    : offloadOn(name);
}

function settleGro(fd: number, whyOff: string | undefined): OffloadState {
  const name: OffloadName = "udp-gro";
  const result = setNumber(fd, SOL_UDP, UDP_GRO, whyOff === undefined ? 1 : 0);
  if (whyOff !== undefined) return offloadOff(name, whyOff); // a kernel that does not know it has it off
  return result < 0
    ? offloadOff(name, `UDP_GRO: ${Libc.errnoName(result)}, Linux before 5.0 has none`)
    : offloadOn(name);
}

function receiveDrops(fd: number): number {
  const values = new Uint32Array(SK_MEMINFO_VARS);
  Libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, Uint32Array.of(values.byteLength)); // Linux before 4.12 fills in none
  return values[SK_MEMINFO_DROPS] ?? 0;
}

function bindTo(fd: number, { address, port }: UdpSocketOptions): void {
  const bytes = parseAddress(address);
  if (bytes === undefined) {
    throw new SapwoodError(
      "config-invalid",
      `The underlay address must be an IPv4 or IPv6 address; found "${address}".`,
    );
  }
  const sockaddr = Buffer.alloc(KernelLayout.SOCKADDR_SIZE);
  sockaddr.writeUInt16LE(KernelLayout.AF_INET6);
  sockaddr.writeUInt16BE(port, KernelLayout.SOCKADDR_PORT);
  sockaddr.set(bytes, KernelLayout.SOCKADDR_ADDRESS);
  const result = Libc.bindSocket(fd, sockaddr, KernelLayout.SOCKADDR_SIZE);
  if (result < 0) throw bindFailure(result, address, port);
}

/** Why bind() failed, as one sentence. */
function bindFailure(errno: number, address: string, port: number): SapwoodError {
  const found = Libc.errnoName(errno);
  switch (-errno) {
    case Libc.EADDRINUSE:
      return new SapwoodError(
        "port-in-use",
        `UDP port ${port} of ${address} is in use (${found}): another proxy may be running.`,
      );
    case Libc.EADDRNOTAVAIL:
      return new SapwoodError(
        "network-setup",
        `The underlay address ${address} is not an address of this machine (${found}).`,
      );
    case Libc.EACCES:
      return new SapwoodError("missing-rights", `UDP port ${port} of ${address} may not be bound (${found}).`);
    default:
      return new SapwoodError("system-call", `Binding UDP port ${port} of ${address} failed with ${found}.`);
  }
}

function boundTo(fd: number): { readonly address: string; readonly port: number } {
  const sockaddr = Buffer.alloc(KernelLayout.SOCKADDR_SIZE);
  Libc.expectSuccess(
    Libc.getsockname(fd, sockaddr, Uint32Array.of(KernelLayout.SOCKADDR_SIZE)),
    "Asking for the tunnel's port (getsockname)",
  );
  const address = sockaddr.subarray(KernelLayout.SOCKADDR_ADDRESS, KernelLayout.SOCKADDR_ADDRESS + ADDRESS_SIZE);
  return { address: formatAddress(address), port: sockaddr.readUInt16BE(KernelLayout.SOCKADDR_PORT) };
}

function setNumber(fd: number, level: number, option: number, value: number): number {
  const bytes = Uint32Array.of(value);
  return Libc.setsockopt(fd, level, option, bytes, bytes.byteLength);
}

function getNumber(fd: number, option: number): number {
  const value = new Uint32Array(1);
  Libc.expectSuccess(
    Libc.getsockopt(fd, SOL_SOCKET, option, value, Uint32Array.of(value.byteLength)),
    "Asking what a socket is",
  );
  return value[0] ?? 0;
}
