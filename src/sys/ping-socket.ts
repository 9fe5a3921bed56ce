// A socket that sends echo requests to one address and gets the answers to them alone: the kernel numbers the requests
// and tells the sockets apart (icmp(7), "ping sockets"). It needs no right but to be opened by a group that
// net.ipv4.ping_group_range names, of both families.
// Promises: sending and receiving never wait; `close()` twice is harmless.

import { ADDRESS_SIZE, familyOf, parseAddress } from "../net/address.ts";
import { kernelSysctls } from "./kernel-sysctls.ts";
import * as Libc from "./libc.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
// struct sockaddr_in: u16 family, be16 port, be32 address, 8 bytes; sockaddr_in6: ..., at 8 the address, to 28
const SOCKADDR_IN_SIZE = 16;
const SOCKADDR_IN_ADDRESS = 4;
const SOCKADDR_IN6_SIZE = 28;
const SOCKADDR_IN6_ADDRESS = 8;
const IPV4_AT = ADDRESS_SIZE - 4;
// RFC 792, RFC 4443: type, code, checksum, identifier (the kernel's), sequence, data
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const ECHO_REQUEST_V6 = 128;
const ECHO_REPLY_V6 = 129;
const SEQUENCE_AT = 6;
const MESSAGE_SIZE = 16;
const GROUP_RANGE = "net/ipv4/ping_group_range";

/** What became of an echo request so far: its answer, nothing yet, or the kernel's error. */
export type EchoState = "answered" | "awaited" | { readonly error: string };

export class PingSocket {
  readonly #fd: number;
  readonly #isIpv4: boolean;
  readonly #answer = new Uint8Array(new ArrayBuffer(MESSAGE_SIZE));
  readonly #answerAt = Number(Libc.addressOf(this.#answer.buffer));
  #sequence = 0;
  #isOpen = true;

  private constructor(fd: number, isIpv4: boolean) {
    this.#fd = fd;
    this.#isIpv4 = isIpv4;
  }

  /** The socket, or the kernel's error. */
  static open(address: string): PingSocket | { readonly error: string } {
    const isIpv4 = familyOf(address) === 4;
    const fd = openAnyhow(isIpv4);
    if (fd < 0) return { error: Libc.errnoName(fd) };
    const opened = new PingSocket(fd, isIpv4);
    const name = sockaddrOf(address, isIpv4);
    const connected = Libc.connectSocket(fd, name, name.length);
    if (connected >= 0) return opened;
    opened.close();
    return { error: Libc.errnoName(connected) };
  }

  /** Undefined when it is on its way, else the kernel's error. */
  send(): string | undefined {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const message = Buffer.alloc(MESSAGE_SIZE);
    message[0] = this.#isIpv4 ? ECHO_REQUEST : ECHO_REQUEST_V6;
    message.writeUInt16BE(this.#sequence, SEQUENCE_AT);
    const sent = Libc.write(this.#fd, message, MESSAGE_SIZE);
    return sent < 0 ? Libc.errnoName(sent) : undefined;
  }

  /** Of the last request. */
  receive(): EchoState {
    for (;;) {
      const size = Libc.read(this.#fd, this.#answerAt, MESSAGE_SIZE);
      if (size === -Libc.EAGAIN) return "awaited";
      if (size < 0) return { error: Libc.errnoName(size) };
      const [type] = this.#answer;
      const sequence = Buffer.from(this.#answer.buffer).readUInt16BE(SEQUENCE_AT);
      if (type === (this.#isIpv4 ? ECHO_REPLY : ECHO_REPLY_V6) && sequence === this.#sequence) return "answered";
    }
  }

  close(): void {
    if (this.#isOpen) Libc.close(this.#fd);
    this.#isOpen = false;
  }
}

/**
 * The descriptor, or a negative errno. Only the moment of opening asks for the group: where the node lets none, the
 * range names this process's for that moment, and then again what it named before.
 */
function openAnyhow(isIpv4: boolean): number {
  const tried = openOnce(isIpv4);
  if (tried !== -Libc.EACCES) return tried;
  let before: string;
  try {
    before = kernelSysctls.read(GROUP_RANGE);
    const group = process.getegid?.() ?? 0;
    kernelSysctls.write(GROUP_RANGE, `${group} ${group}`);
  } catch {
    return tried;
  }
  try {
    return openOnce(isIpv4);
  } finally {
    // "1 0" is the kernel's way to say that no group may.
    kernelSysctls.write(GROUP_RANGE, before);
  }
}

function openOnce(isIpv4: boolean): number {
  const [family, protocol] = isIpv4 ? [AF_INET, IPPROTO_ICMP] : [AF_INET6, IPPROTO_ICMPV6];
  return Libc.socket(family, Libc.SOCK_DGRAM | Libc.O_NONBLOCK | Libc.O_CLOEXEC, protocol);
}

function sockaddrOf(address: string, isIpv4: boolean): Buffer {
  const bytes = parseAddress(address);
  if (bytes === undefined) throw new RangeError(`expected an address, found ${address}`);
  const name = Buffer.alloc(isIpv4 ? SOCKADDR_IN_SIZE : SOCKADDR_IN6_SIZE);
  name.writeUInt16LE(isIpv4 ? AF_INET : AF_INET6);
  if (isIpv4) name.set(bytes.subarray(IPV4_AT), SOCKADDR_IN_ADDRESS);
  else name.set(bytes, SOCKADDR_IN6_ADDRESS);
  return name;
}
