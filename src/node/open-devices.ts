// Second stage: the tunnel's sockets, with WireGuard below them if the configuration wants it, and the TUN.

import { availableParallelism } from "node:os";
import { SapwoodError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { UndoStack } from "../base/undo-stack.ts";
import type { Config } from "../control/config/config.ts";
import { offloadsSwitchedOff } from "../control/config/offload-config.ts";
import { EncryptedUnderlay } from "../control/underlay/encrypted-underlay.ts";
import { keyFiles } from "../control/underlay/key-file.ts";
import { chooseMtu, findUnderlay, type Underlay } from "../sys/interface.ts";
import { openNodeTun } from "../sys/persistent-tun.ts";
import { adoptTun, type Tun } from "../sys/tun.ts";
import { adoptUdpSocket, openUdpSockets, type UdpSocket } from "../sys/udp-socket.ts";
import { chooseQueues, underlayAddress } from "./choices.ts";
import type { PassedOn } from "./takeover/takeover.ts";

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

/** With `passedOn`, those of the running proxy. Throws takeover-failed when they are not as the configuration wants them. */
export async function openDevices(
  config: Config,
  log: Logger,
  undo: UndoStack,
  passedOn: PassedOn | undefined,
): Promise<Devices> {
  const underlay = await findUnderlay(underlayAddress(config));
  if (passedOn !== undefined) return adoptDevices(config, passedOn, underlay, undo);
  const encrypted = await openEncrypted(config, underlay, log, undo);
  const queues = chooseQueues(config.tun.queues, availableParallelism());
  const switchedOff = offloadsSwitchedOff(config.offloads);
  const { bind, port } = config.node.underlay;
  const sockets = openUdpSockets(queues, { address: bind, port, switchedOff });
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

function adoptDevices(
  { tun: { name, queues, mtu: configuredMtu }, node, offloads }: Config,
  passedOn: PassedOn,
  underlay: Underlay | undefined,
  undo: UndoStack,
): Devices {
  const expect = (field: string, expected: unknown, found: unknown): void => {
    if (expected === found) return;
    const sentence = `${field} is ${expected}, and the running proxy has ${found}: this takes a restart.`;
    throw new SapwoodError("takeover-failed", sentence);
  };
  expect("node.underlay.encryption", node.underlay.encryption, "none");
  if (queues !== "auto") expect("tun.queues", queues, passedOn.tun.length);
  const switchedOff = offloadsSwitchedOff(offloads);
  const { bind: address, port } = node.underlay;
  const sockets = passedOn.sockets.map((fd) => adoptUdpSocket(fd, { address, port, switchedOff }));
  undo.add("close the tunnel's sockets", () => {
    for (const socket of sockets) socket.close();
  });
  const tun = adoptTun({ name, switchedOff }, passedOn.tun);
  undo.add("close the TUN", () => tun.close());
  const mtu = chooseMtu(configuredMtu, underlay?.mtu);
  const devices = { underlay, encrypted: undefined, sockets, port: socketAt(sockets, 0).port };
  return { ...devices, tun, isAdopted: true, mtu, switchedOff };
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
