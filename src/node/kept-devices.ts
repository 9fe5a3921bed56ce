// The TUN's queues and the tunnel's sockets, which systemd keeps while the unit has no process (sys/descriptor-store.ts).

import { storedDescriptors } from "../sys/descriptor-store.ts";
import { ServiceManager } from "../sys/service-manager.ts";
import type { Tun } from "../sys/tun.ts";
import type { UdpSocket } from "../sys/udp-socket.ts";
import type { PassedDevices } from "./takeover/takeover.ts";

const TUN = "tun-";
const SOCKET = "tunnel-";

/** What a process before left with systemd; undefined: nothing, or not all. Who takes them closes them. */
export function keptDevices(env: NodeJS.ProcessEnv): PassedDevices | undefined {
  const stored = storedDescriptors(env);
  const numbered = (prefix: string): number[] => {
    const found: number[] = [];
    for (let fd = stored.get(prefix + 0); fd !== undefined; fd = stored.get(prefix + found.length)) found.push(fd);
    return found;
  };
  const [tun, sockets] = [numbered(TUN), numbered(SOCKET)];
  return tun.length === 0 || tun.length !== sockets.length ? undefined : { tun, sockets };
}

/** From now on they are there after a crash. */
export function keepDevices(env: NodeJS.ProcessEnv, tun: Tun, sockets: readonly UdpSocket[]): void {
  const manager = new ServiceManager(env);
  tun.fds.forEach((fd, i) => {
    manager.keep(TUN + i, fd);
  });
  sockets.forEach(({ fd }, i) => {
    manager.keep(SOCKET + i, fd);
  });
}

/** They are closed, and the TUN goes unless it is to outlive its descriptors. */
export function forgetDevices(env: NodeJS.ProcessEnv, count: number): void {
  const manager = new ServiceManager(env);
  for (let i = 0; i < count; i++) {
    manager.forget(TUN + i);
    manager.forget(SOCKET + i);
  }
}
