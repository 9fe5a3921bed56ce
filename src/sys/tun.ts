// Opens a TUN device with one queue per worker and agrees with the kernel on offloads.
// The device exists as long as one of its descriptors is open, unless it is told to outlive them (persistent-tun.ts).

import { fstatSync, statSync } from "node:fs";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { SapwoodError } from "../base/errors.ts";
import * as Libc from "./libc.ts";
import { type OffloadState, offloadOff, offloadOn, type SwitchedOff } from "./offload.ts";
import { superPacket } from "./super-packet.ts";

const TUN_PATH = "/dev/net/tun";

// linux/if.h
const IFNAMSIZ = 16;
const IFREQ_SIZE = 40;
// linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETIFF = 0x800454d2;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TUN = 0x0001;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_DETACH_QUEUE = 0x0400;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000; // virtio_net_hdr of 10 bytes, the kernel's default size
const IFF_TUN_EXCL = 0x8000;
const QUEUE_FLAGS = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;

/** The kernel puts a number in the place of %d. */
const THROW_AWAY_NAME = "sapwood-ask%d";

export interface TunOptions {
  readonly name: string; // at most 15 bytes
  readonly queues: number; // 1 or more
  readonly switchedOff: SwitchedOff;
  /** The device is there, persistent, and nobody's queue is attached to it. */
  readonly isLeft?: boolean;
}

/** An open TUN. A new one's interface is down until somebody brings it up (interface.ts). */
export interface Tun {
  readonly name: string;
  readonly fds: readonly number[]; // one per queue, non-blocking
  readonly offloads: readonly OffloadState[]; // as they were settled last
  /** Agrees with the kernel on offloads anew; frames that wait in the queues come as they are. */
  settleOffloads(switchedOff: SwitchedOff): readonly OffloadState[];
  /** Whether the device is to outlive its descriptors. One that somebody deleted stays deleted. */
  setPersistent(isPersistent: boolean): void;
  close(): void;
}

/** Throws tun-unavailable or missing-rights; then nothing is left open. */
export function openTun(options: TunOptions): Tun {
  const nameLength = Buffer.byteLength(options.name);
  if (nameLength === 0 || nameLength >= IFNAMSIZ) {
    throw new SapwoodError(
      "tun-unavailable",
      `The TUN's name must have 1 to ${IFNAMSIZ - 1} bytes; "${options.name}" has ${nameLength}.`,
    );
  }
  const fds: number[] = [];
  const closeAll = () => {
    for (const fd of fds.splice(0)) Libc.close(fd);
  };
  try {
    const { isLeft = false } = options;
    const first = openQueue(options.name, 0, isLeft ? 0 : IFF_TUN_EXCL);
    fds.push(first);
    takePossession(first);
    for (let queue = 1; queue < options.queues; queue++) fds.push(openQueue(options.name, queue, 0));
    return openedTun(options, first, [...fds], isLeft ? offerThrowAway() : offerBoth(first), closeAll);
  } catch (error) {
    closeAll();
    throw error;
  }
}

/**
 * The TUN whose queues another process passed on, which may be reading them still. They stay open and are this
 * process's to close, also when this throws tun-unavailable because one of them is something else.
 */
export function adoptTun({ name, switchedOff }: Omit<TunOptions, "queues" | "isLeft">, fds: readonly number[]): Tun {
  const [first] = fds;
  if (first === undefined) throw new SapwoodError("tun-unavailable", `The TUN "${name}" was passed on with no queue.`);
  for (const fd of fds) {
    const found = attachedTo(fd);
    if (found === name) continue;
    const sentence = `Expected a queue of the TUN "${name}" with a virtio_net_hdr; found ${found}.`;
    throw new SapwoodError("tun-unavailable", sentence);
  }
  const open = [...fds];
  return openedTun({ name, switchedOff }, first, fds, offerThrowAway(), () => {
    for (const fd of open.splice(0)) Libc.close(fd);
  });
}

/** The name of the TUN that a descriptor is a queue of, if it is one as openQueue() makes them; else what it is. */
function attachedTo(fd: number): string {
  const status = fstatSync(fd);
  if (!status.isCharacterDevice() || status.rdev !== statSync(TUN_PATH).rdev) return "no descriptor of a TUN";
  const request = Buffer.alloc(IFREQ_SIZE);
  const result = Libc.ioctl(fd, TUNGETIFF, request);
  if (result < 0) return `a queue of no TUN (${Libc.errnoName(result)})`;
  const name = request.toString("utf8", 0, request.indexOf(0));
  const flags = request.readUInt16LE(IFNAMSIZ);
  const isLike = (flags & QUEUE_FLAGS) === QUEUE_FLAGS && (flags & IFF_DETACH_QUEUE) === 0;
  return isLike ? name : `a queue of "${name}" with the flags 0x${flags.toString(16)}`;
}

/** Settles the offloads of an open device, whose first queue is `first`. */
function openedTun(
  { name, switchedOff: switchedOffFirst }: Pick<TunOptions, "name" | "switchedOff">,
  first: number,
  fds: readonly number[],
  offers: Offers,
  closeAll: () => void,
): Tun {
  const kernel: TunKernel = { ...offers, set: (flags) => Libc.ioctlNumber(first, TUNSETOFFLOAD, flags) };
  let offloads = settleOffloads(switchedOffFirst, kernel);
  return {
    name,
    fds,
    get offloads() {
      return offloads;
    },
    settleOffloads(switchedOff) {
      offloads = settleOffloads(switchedOff, kernel);
      return offloads;
    },
    setPersistent(isPersistent) {
      const result = Libc.ioctlNumber(first, TUNSETPERSIST, isPersistent ? 1 : 0);
      if (result !== -Libc.EBADFD) Libc.expectSuccess(result, "Making the TUN outlive its process (TUNSETPERSIST)");
    },
    close: closeAll,
  };
}

/** The first queue of a new device has IFF_TUN_EXCL: to attach to one that exists would share its owner's traffic. */
function openQueue(name: string, queue: number, exclusive: number): number {
  const fd = Libc.open(TUN_PATH, Libc.O_RDWR | Libc.O_NONBLOCK | Libc.O_CLOEXEC);
  if (fd < 0) throw openFailure(fd);
  const request = Buffer.alloc(IFREQ_SIZE);
  request.write(name);
  request.writeUInt16LE(QUEUE_FLAGS | exclusive, IFNAMSIZ);
  const result = Libc.ioctl(fd, TUNSETIFF, request);
  if (result < 0) {
    Libc.close(fd);
    throw attachFailure(result, name, queue);
  }
  return fd;
}

/**
 * The kernel lets every user who may open /dev/net/tun (mostly all of them) attach a queue to a device that has no
 * owner, and take packets from it (tun.c, tun_not_capable). So the device is this user's. The size of the
 * virtio_net_hdr belongs to the device as well, which may be one that was left.
 */
function takePossession(fd: number): void {
  Libc.expectSuccess(
    Libc.ioctlNumber(fd, TUNSETOWNER, process.geteuid?.() ?? 0),
    "Making the TUN this user's (TUNSETOWNER)",
    "tun-unavailable",
  );
  const size = new Uint8Array(new Int32Array([Virtio.SIZE]).buffer);
  Libc.expectSuccess(
    Libc.ioctl(fd, TUNSETVNETHDRSZ, size),
    "Setting the size of the TUN's virtio_net_hdr (TUNSETVNETHDRSZ)",
    "tun-unavailable",
  );
}

/** Why /dev/net/tun could not be opened, as one sentence. */
export function openFailure(errno: number): SapwoodError {
  const found = Libc.errnoName(errno);
  switch (-errno) {
    case Libc.ENOENT:
      return new SapwoodError(
        "tun-unavailable",
        `${TUN_PATH} is missing (${found}): load the kernel's "tun" module, or pass the device into the container.`,
      );
    case Libc.ENXIO:
    case Libc.ENODEV:
      return new SapwoodError(
        "tun-unavailable",
        `${TUN_PATH} has no driver (${found}): load the kernel's "tun" module.`,
      );
    case Libc.EACCES:
    case Libc.EPERM:
      return new SapwoodError(
        "missing-rights",
        `${TUN_PATH} may not be opened (${found}): run as root, or give this user read and write access to it.`,
      );
    default:
      return new SapwoodError("tun-unavailable", `Opening ${TUN_PATH} failed with ${found}.`);
  }
}

/** Why TUNSETIFF failed, as one sentence. */
export function attachFailure(errno: number, name: string, queue: number): SapwoodError {
  const found = Libc.errnoName(errno);
  switch (-errno) {
    case Libc.EPERM:
      return new SapwoodError(
        "missing-rights",
        `The TUN "${name}" may not be created (${found}): CAP_NET_ADMIN in this network namespace is needed.`,
      );
    case Libc.EBUSY:
      return new SapwoodError(
        "tun-unavailable",
        `The TUN "${name}" cannot be created (${found}): a device of that name exists, perhaps of another proxy.`,
      );
    case Libc.EINVAL:
      return new SapwoodError(
        "tun-unavailable",
        `The kernel refused the TUN name "${name}" or a multi-queue TUN with a virtio_net_hdr (${found}).`,
      );
    default:
      return new SapwoodError("tun-unavailable", `TUNSETIFF for queue ${queue} of "${name}" failed with ${found}.`);
  }
}

/** What the kernel answered when it was offered a super-packet: 0, or the negated errno. */
interface Offers {
  readonly tcpWrite: number;
  readonly udpWrite: number;
}

/** What the kernel answers about a TUN's offloads. */
export interface TunKernel extends Offers {
  /**
   * Passes a complete set of TUN_F_* flags; 0, or the negated errno. They belong to the device, not to the queue: the
   * first descriptor settles them for all.
   */
  set(flags: number): number;
}

/** `fd` is a queue of a device that is down. */
function offerBoth(fd: number): Offers {
  return { tcpWrite: offer(fd, "tcp"), udpWrite: offer(fd, "udp") };
}

/** Which offloads the kernel gives a new TUN, which is gone when this returns. Throws as openTun(). */
export function tryTun(): readonly OffloadState[] {
  const tun = openTun({ name: THROW_AWAY_NAME, queues: 1, switchedOff: {} });
  tun.close();
  return tun.offloads;
}

/** A device that was left may be up, and would hand the network what is written: another one is asked. */
function offerThrowAway(): Offers {
  const fd = openQueue(THROW_AWAY_NAME, 0, IFF_TUN_EXCL);
  try {
    return offerBoth(fd);
  } finally {
    Libc.close(fd);
  }
}

/**
 * Some long-term kernels know TSO and USO and yet refuse to take a super-packet (a check of virtio_net_hdr that was
 * ported back in part), so one of each family is written. The interface is down, and the kernel looks at the
 * virtio_net_hdr before it looks at that (tun.c, tun_get_user): a good frame ends in EIO and a refused one in EINVAL,
 * and none of them reaches the network. It depends on the kernel alone, so it is asked once, and a proxy never
 * meets the refusal with packets of workloads in hand.
 */
function offer(fd: number, protocol: "tcp" | "udp"): number {
  for (const family of ["v4", "v6"] as const) {
    const frame = superPacket(protocol, family);
    const result = Libc.write(fd, frame, frame.length);
    if (result < 0 && result !== -Libc.EIO) return result;
  }
  return 0;
}

/** Asks for one offload after the other, so that a refused one does not take the others with it. */
export function settleOffloads(switchedOff: SwitchedOff, kernel: TunKernel): OffloadState[] {
  // Without checksum offload no segmentation offload exists (tun.c, set_offload).
  const checksum = kernel.set(TUN_F_CSUM);
  if (checksum < 0) {
    Libc.expectSuccess(kernel.set(0), "Switching all offloads of the TUN off (TUNSETOFFLOAD)", "tun-unavailable");
    const needsChecksum = "needs tun-checksum";
    return [
      offloadOff("tun-checksum", `TUNSETOFFLOAD failed with ${Libc.errnoName(checksum)}`),
      offloadOff("tun-tcp", switchedOff["tun-tcp"] ?? needsChecksum),
      offloadOff("tun-udp", switchedOff["tun-udp"] ?? needsChecksum),
    ];
  }
  let flags = TUN_F_CSUM;
  const settle = (name: "tun-tcp" | "tun-udp", more: number, written: number, hint: string): OffloadState => {
    const why = switchedOff[name];
    if (why !== undefined) return offloadOff(name, why);
    if (written < 0)
      return offloadOff(name, `writing a super-packet to the TUN failed with ${Libc.errnoName(written)}`);
    const result = kernel.set(flags | more);
    if (result < 0) return offloadOff(name, `TUNSETOFFLOAD failed with ${Libc.errnoName(result)}${hint}`);
    flags |= more;
    return offloadOn(name);
  };
  const states = [
    offloadOn("tun-checksum"),
    settle("tun-tcp", TUN_F_TSO4 | TUN_F_TSO6, kernel.tcpWrite, ""),
    // The kernel takes USO4 and USO6 together or not at all.
    settle("tun-udp", TUN_F_USO4 | TUN_F_USO6, kernel.udpWrite, ", Linux before 6.2 has no USO"),
  ];
  // A refused request may have changed the device's features half-way: say once more what holds.
  Libc.expectSuccess(kernel.set(flags), "Setting the offloads of the TUN (TUNSETOFFLOAD)", "tun-unavailable");
  return states;
}
