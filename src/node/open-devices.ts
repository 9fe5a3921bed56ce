// Second stage: the tunnel's sockets, with WireGuard below them if the configuration wants it, and the TUN.

import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { reasonOf, SapwoodError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { UndoStack } from "../base/undo-stack.ts";
import type { Config } from "../control/config/config.ts";
import { offloadsSwitchedOff } from "../control/config/offload-config.ts";
import { EncryptedUnderlay } from "../control/underlay/encrypted-underlay.ts";
import { keyFiles } from "../control/underlay/key-file.ts";
import { chooseMtu, findUnderlay, type Underlay } from "../sys/interface.ts";
import { close } from "../sys/libc.ts";
import { openNodeTun } from "../sys/persistent-tun.ts";
import { adoptTun, type Tun } from "../sys/tun.ts";
import { adoptUdpSocket, openUdpSockets, type UdpSocket } from "../sys/udp-socket.ts";
import { chooseQueues, underlayAddress } from "./choices.ts";
import { forgetDevices, keptDevices } from "./kept-devices.ts";
import type { PassedDevices } from "./takeover/takeover.ts";

const FORGET_MS = 5000;
const LOOK_MS = 20;

export interface Devices {
  /** The interface that the tunnel's datagrams leave by; undefined when none has its address yet. */
  readonly underlay: Underlay | undefined;
  readonly encrypted: EncryptedUnderlay | undefined;
  /** One per worker, all on one port. */
  readonly sockets: readonly UdpSocket[];
  readonly port: number;
  readonly tun: Tun;
  /** A process before left the TUN. */
  readonly isAdopted: boolean;
  readonly mtu: number;
  readonly switchedOff: ReturnType<typeof offloadsSwitchedOff>;
}

/** With `passedOn`, those of the running proxy; else those that systemd kept, or new ones. Throws takeover-failed when they are not as the configuration wants them. */
export async function openDevices(
  config: Config,
  log: Logger,
  undo: UndoStack,
  passedOn: PassedDevices | undefined,
): Promise<Devices> {
  const underlay = await findUnderlay(underlayAddress(config));
  if (passedOn !== undefined) {
    try {
      return adoptDevices(config, passedOn, underlay, undo);
    } catch (error) {
      throw new SapwoodError("takeover-failed", `${reasonOf(error)} This takes a restart.`, { cause: error });
    }
  }
  const kept = keptDevices(process.env);
  let waitMs = 0;
  if (kept !== undefined) {
    try {
      return adoptDevices(config, kept, underlay, undo);
    } catch (error) {
      log.warn(`the devices that systemd kept are opened anew: ${reasonOf(error)}`);
      for (const fd of [...kept.tun, ...kept.sockets]) close(fd);
      forgetDevices(process.env, kept.tun.length);
      waitMs = FORGET_MS;
    }
  }
  const encrypted = await openEncrypted(config, underlay, log, undo);
  const queues = chooseQueues(config.tun.queues, availableParallelism());
  const switchedOff = offloadsSwitchedOff(config.offloads);
  const { bind, port } = config.node.underlay;
  const sockets = await openSockets(queues, { address: bind, port, switchedOff }, waitMs);
  undo.add("close the tunnel's sockets", () => {
    for (const socket of sockets) socket.close();
  });
  encrypted?.restrict(sockets.map(({ fd }) => fd));
  const { name } = config.tun;
  const { tun, isAdopted, unusable } = await openNodeTun({ name, queues, switchedOff }, config.node.id);
  if (unusable !== undefined) log.warn(`the TUN of the process before is made anew: ${unusable}`);
  undo.add("close the TUN", () => tun.close());
  const mtu = chooseMtu(config.tun.mtu, encrypted?.mtu ?? underlay?.mtu);
  return { underlay, encrypted, sockets, port: socketAt(sockets, 0).port, tun, isAdopted, mtu, switchedOff };
}

/** When it throws, all that was passed on is open still. */
function adoptDevices(
  { tun: { name, queues, mtu: configuredMtu }, node, offloads }: Config,
  passedOn: PassedDevices,
  underlay: Underlay | undefined,
  undo: UndoStack,
): Devices {
  const expect = (field: string, expected: unknown, found: unknown): void => {
    if (expected === found) return;
    const sentence = `${field} is ${expected}, and ${found} in the devices that were passed on.`;
    throw new SapwoodError("takeover-failed", sentence);
  };
  expect("node.underlay.encryption", node.underlay.encryption, "none");
  if (queues !== "auto") expect("tun.queues", queues, passedOn.tun.length);
  const switchedOff = offloadsSwitchedOff(offloads);
  const { bind: address, port } = node.underlay;
  const sockets = passedOn.sockets.map((fd) => adoptUdpSocket(fd, { address, port, switchedOff }));
  const tun = adoptTun({ name, switchedOff }, passedOn.tun);
  undo.add("close the tunnel's sockets", () => {
    for (const socket of sockets) socket.close();
  });
  undo.add("close the TUN", () => tun.close());
  const mtu = chooseMtu(configuredMtu, underlay?.mtu);
  const devices = { underlay, encrypted: undefined, sockets, port: socketAt(sockets, 0).port };
  return { ...devices, tun, isAdopted: true, mtu, switchedOff };
}

/** Systemd lets go of what it kept a moment after it was told to. */
async function openSockets(
  count: number,
  options: Parameters<typeof openUdpSockets>[1],
  waitMs: number,
): Promise<readonly UdpSocket[]> {
  const giveUpAtMs = performance.now() + waitMs;
  for (;;) {
    try {
      return openUdpSockets(count, options);
    } catch (error) {
      const isTaken = error instanceof SapwoodError && error.code === "port-in-use";
      if (!isTaken || performance.now() > giveUpAtMs) throw error;
      await sleep(LOOK_MS);
    }
  }
}

export function socketAt(sockets: readonly UdpSocket[], worker: number): UdpSocket {
  const found = sockets[worker];
  if (found === undefined) throw new RangeError(`worker ${worker} has no socket`);
  return found;
}

/** WireGuard's interface, if the configuration wants it. */
async function openEncrypted(
  { node: { underlay }, state }: Config,
  found: Underlay | undefined,
  log: Logger,
  undo: UndoStack,
): Promise<EncryptedUnderlay | undefined> {
  if (underlay.encryption === "none") return undefined;
  const encrypted = await EncryptedUnderlay.open({
    device: underlay.wireguardDevice,
    underlay,
    underlayMtu: found?.mtu,
    files: keyFiles(state.directory),
    log,
  });
  undo.add("remove the WireGuard interface", () => encrypted.close());
  return encrypted;
}
