// Messages between two processes of one machine, with descriptors in them (unix(7), SOCK_SEQPACKET and SCM_RIGHTS).
// Nothing here blocks; descriptors that come are the receiver's, and are closed when it becomes another program.

import * as KernelLayout from "../../assembly/shared/layout/kernel.ts";
import * as Libc from "./libc.ts";
import { Poller } from "./poll.ts";

// sys/socket.h
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_TRUNC = 0x20;
const MSG_CTRUNC = 0x8;
// poll.h
const POLLRDHUP = 0x2000;
// sys/un.h
const SUN_PATH = 2;
const AT_SIGN = 0x40;
const SOCKADDR_UN_SIZE = 110;
/** Of the kernel, per message (SCM_MAX_FD, net/scm.h). */
const DESCRIPTORS_MAX = 253;
const MESSAGE_BYTES_MAX = 65_536;

interface Message {
  readonly bytes: Uint8Array;
  /** The receiver closes them. */
  readonly descriptors: readonly number[];
}

/** Whoever has the other end, as the kernel says. */
interface Peer {
  readonly pid: number;
  readonly uid: number;
}

export class MessageSocket {
  readonly #fd: number;
  #isOpen = true;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Waits at `path` for somebody to connect. Throws when something is there already. */
  static listen(path: string): MessageSocket {
    return opened((fd) => {
      const address = pathAddress(path);
      Libc.expectSuccess(Libc.bindSocket(fd, address, address.length), `Binding ${path}`);
      Libc.expectSuccess(Libc.listen(fd, 1), `Listening at ${path}`);
    });
  }

  /** Throws when nobody listens at `path`. */
  static connect(path: string): MessageSocket {
    return opened((fd) => {
      const address = pathAddress(path);
      Libc.expectSuccess(Libc.connectSocket(fd, address, address.length), `Connecting to ${path}`);
    });
  }

  /** Who connected; undefined: nobody yet. */
  accept(): MessageSocket | undefined {
    const fd = Libc.accept(this.#fd, 0, 0, Libc.O_CLOEXEC | Libc.O_NONBLOCK);
    if (fd === -Libc.EAGAIN || fd === -Libc.EINTR) return undefined;
    return new MessageSocket(Libc.expectSuccess(fd, "Accepting a connection"));
  }

  /** Of a listener that was connected to, it is the process that listens. */
  get peer(): Peer {
    const credentials = new Uint32Array(3); // struct ucred: pid, uid, gid
    const size = Uint32Array.of(credentials.byteLength);
    Libc.expectSuccess(
      Libc.getsockopt(this.#fd, SOL_SOCKET, SO_PEERCRED, credentials, size),
      "Asking who the other end is",
    );
    const [pid = 0, uid = 0] = credentials;
    return { pid, uid };
  }

  /** Throws when the other end is gone. The descriptors stay the sender's as well. */
  send(bytes: Uint8Array, descriptors: readonly number[] = []): void {
    if (descriptors.length > DESCRIPTORS_MAX) throw new RangeError(`more than ${DESCRIPTORS_MAX} descriptors`);
    const buffers = new MessageBuffers(bytes.length, descriptors.length);
    buffers.bytes.set(bytes);
    buffers.writeDescriptors(descriptors);
    Libc.expectSuccess(Libc.sendmsg(this.#fd, buffers.headerAt, MSG_NOSIGNAL), "Sending a message to another process");
  }

  /** The next message; undefined: there is none yet; "closed": there will be none any more. */
  receive(): Message | "closed" | undefined {
    const buffers = new MessageBuffers(MESSAGE_BYTES_MAX, DESCRIPTORS_MAX);
    const length = Libc.recvmsg(this.#fd, buffers.headerAt, MSG_CMSG_CLOEXEC);
    if (length === -Libc.EAGAIN || length === -Libc.EINTR) return undefined;
    // An error as well: the other end has died. A message of no bytes is none of an end that has gone.
    if (length < 0 || (length === 0 && this.#hasEnded)) return "closed";
    const descriptors = buffers.readDescriptors();
    if ((buffers.flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0) {
      for (const fd of descriptors) Libc.close(fd);
      throw new Error(`a message must have at most ${MESSAGE_BYTES_MAX} bytes and ${DESCRIPTORS_MAX} descriptors`);
    }
    return { bytes: buffers.bytes.slice(0, length), descriptors };
  }

  /** Whether the other end will send nothing any more. */
  get #hasEnded(): boolean {
    return new Poller([this.#fd], POLLRDHUP).wait(0) > 0;
  }

  close(): void {
    if (this.#isOpen) Libc.close(this.#fd);
    this.#isOpen = false;
  }
}

/**
 * Sends one datagram to the socket of a path, or of a name in no folder, which begins with "@". Throws when nobody takes
 * it.
 */
export function sendDatagram(path: string, text: string, descriptors: readonly number[] = []): void {
  const fd = Libc.expectSuccess(Libc.socket(AF_UNIX, Libc.SOCK_DGRAM | Libc.O_CLOEXEC, 0), "Opening a unix socket");
  try {
    const address = pathAddress(path);
    Libc.expectSuccess(Libc.connectSocket(fd, address, address.length), `Connecting to ${path}`);
    new MessageSocket(fd).send(Buffer.from(text), descriptors);
  } finally {
    Libc.close(fd);
  }
}

function opened(prepare: (fd: number) => void): MessageSocket {
  const fd = Libc.expectSuccess(
    Libc.socket(AF_UNIX, SOCK_SEQPACKET | Libc.O_NONBLOCK | Libc.O_CLOEXEC, 0),
    "Opening a unix socket",
  );
  try {
    prepare(fd);
    return new MessageSocket(fd);
  } catch (error) {
    Libc.close(fd);
    throw error;
  }
}

/** struct sockaddr_un; a leading "@" stands for the zero byte of a name that is in no folder. */
function pathAddress(path: string): Uint8Array {
  const bytes = Buffer.from(path);
  if (bytes.length >= SOCKADDR_UN_SIZE - SUN_PATH) throw new Error(`the path of a unix socket is too long: ${path}`);
  const isName = bytes[0] === AT_SIGN;
  if (isName) bytes[0] = 0;
  const address = Buffer.alloc(SUN_PATH + bytes.length + (isName ? 0 : 1));
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, SUN_PATH);
  return address;
}

/** A struct msghdr with one iovec and room for descriptors, outside V8's heap. */
class MessageBuffers {
  readonly bytes: Uint8Array;
  readonly headerAt: number;
  readonly #view: DataView;
  readonly #controlAt: number; // within the buffer

  constructor(byteCount: number, descriptorCount: number) {
    const iovecAt = KernelLayout.MSGHDR_SIZE;
    this.#controlAt = iovecAt + KernelLayout.IOVEC_SIZE;
    const controlSize = descriptorCount === 0 ? 0 : aligned(KernelLayout.CMSG_DATA + 4 * descriptorCount);
    const bytesAt = this.#controlAt + controlSize;
    const buffer = new ArrayBuffer(bytesAt + byteCount);
    this.#view = new DataView(buffer);
    this.bytes = new Uint8Array(buffer, bytesAt, byteCount);
    this.headerAt = Number(Libc.addressOf(buffer));
    this.#setWord(iovecAt, this.headerAt + bytesAt);
    this.#setWord(iovecAt + KernelLayout.IOVEC_LENGTH, byteCount);
    this.#setWord(KernelLayout.MMSGHDR_IOV, this.headerAt + iovecAt);
    this.#setWord(KernelLayout.MMSGHDR_IOV_COUNT, 1);
    if (controlSize === 0) return;
    this.#setWord(KernelLayout.MMSGHDR_CONTROL, this.headerAt + this.#controlAt);
    this.#setWord(KernelLayout.MMSGHDR_CONTROL_LENGTH, controlSize);
  }

  get flags(): number {
    return this.#view.getInt32(KernelLayout.MMSGHDR_FLAGS, true);
  }

  writeDescriptors(descriptors: readonly number[]): void {
    if (descriptors.length === 0) return;
    this.#setWord(this.#controlAt, KernelLayout.CMSG_DATA + 4 * descriptors.length);
    this.#view.setInt32(this.#controlAt + KernelLayout.CMSG_LEVEL, SOL_SOCKET, true);
    this.#view.setInt32(this.#controlAt + KernelLayout.CMSG_TYPE, SCM_RIGHTS, true);
    descriptors.forEach((fd, i) => {
      this.#view.setInt32(this.#controlAt + KernelLayout.CMSG_DATA + 4 * i, fd, true);
    });
  }

  readDescriptors(): number[] {
    const size = Number(this.#view.getBigUint64(KernelLayout.MMSGHDR_CONTROL_LENGTH, true));
    if (size < KernelLayout.CMSG_DATA) return [];
    const length = Math.min(size, Number(this.#view.getBigUint64(this.#controlAt, true)));
    if (this.#view.getInt32(this.#controlAt + KernelLayout.CMSG_TYPE, true) !== SCM_RIGHTS) return [];
    const count = Math.floor((length - KernelLayout.CMSG_DATA) / 4);
    return Array.from({ length: count }, (_, i) =>
      this.#view.getInt32(this.#controlAt + KernelLayout.CMSG_DATA + 4 * i, true),
    );
  }

  #setWord(at: number, value: number): void {
    this.#view.setBigUint64(at, BigInt(value), true);
  }
}

function aligned(size: number): number {
  return (size + 7) & ~7;
}
