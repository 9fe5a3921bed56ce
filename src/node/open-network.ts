// Fourth stage: addresses, routes, kernel parameters and packet filters, which from then on stay as they were set up.

import { dirname } from "node:path";
import type { Logger } from "../base/log.ts";
import type { UndoStack } from "../base/undo-stack.ts";
import { NetworkWatch } from "../control/underlay/network-watch.ts";
import { OwnAddresses } from "../control/underlay/own-addresses.ts";
import { PacketGuard } from "../control/underlay/packet-guard.ts";
import { UnderlayWatch } from "../control/underlay/underlay-watch.ts";
import { WorkloadLinks } from "../control/underlay/workload-links.ts";
import { findUnderlay, TunInterface } from "../sys/interface.ts";
import { NetworkEvents } from "../sys/network-events.ts";
import { keepTun } from "../sys/persistent-tun.ts";
import { sysctlStateFile } from "../sys/sysctl.ts";
import { isGuarded, isPersistent, underlayAddress } from "./choices.ts";
import { forgetDevices } from "./kept-devices.ts";
import type { OpenConfig } from "./open-config.ts";
import type { Devices } from "./open-devices.ts";
import type { OpenTables } from "./open-tables.ts";

/** Of all proxies of a machine. */
const RUN_FOLDER = "/run/sapwood";

/** What the end depends on. */
interface Ending {
  /** Whether the unreachable routes of the ranges stay. */
  keepsGuard: boolean;
  /** Whether the TUN stays, with all that leads to it. */
  keepsTun: boolean;
}

export interface OpenNetwork {
  readonly networkWatch: NetworkWatch;
  /** Until the start is complete it is that of a start that fails: what a process before left stays. */
  readonly ending: Ending;
  /** Whether the TUN outlives this process. */
  readonly persists: boolean;
}

export async function openNetwork(
  { config, socket, alarms }: OpenConfig,
  { underlay, encrypted, tun, isAdopted, mtu, port }: Devices,
  { shared, store }: Pick<OpenTables, "shared" | "store">,
  log: Logger,
  undo: UndoStack,
): Promise<OpenNetwork> {
  const ending: Ending = { keepsGuard: config.guard.keep, keepsTun: isAdopted };
  const routes = config.ranges.map(({ text }) => text);
  const network = await TunInterface.open({
    device: tun.name,
    mtu,
    ranges: routes,
    underlayDevice: underlay?.device,
    stateFile: sysctlStateFile(RUN_FOLDER, dirname(socket)),
    isGuarded: isGuarded(config, process.env),
    isAdopted,
  });
  undo.add("restore the network", async () => {
    const failures = await network.close({ guard: ending.keepsGuard, device: ending.keepsTun });
    for (const sentence of failures) log.error(sentence);
    if (ending.keepsTun) return;
    tun.setPersistent(false);
    forgetDevices(process.env, tun.fds.length);
  });
  if (isAdopted) log.info({ corrected: network.corrected }, "took over the TUN of the process before");
  const persists = isPersistent(config, process.env);
  if (persists) await keepTun(tun, config.node.id);
  const guard = await PacketGuard.open({
    nodeId: config.node.id,
    tun: tun.name,
    ranges: routes,
    ports: encrypted === undefined ? [port] : [port, config.node.underlay.wireguardPort],
    underlayDevice: underlay?.device,
    guardsWorkloads: config.guard.workloads,
    tables: () => ({ nodes: store.nodes, services: store.localServices }),
    workloadLinks: new WorkloadLinks(alarms),
  });
  undo.add("remove the packet filter", () => guard.close(ending.keepsTun));
  // It starts processes, which takes the longer the more memory this one has.
  store.onChange(({ isNearby }) => (isNearby ? guard.follow() : undefined));
  const own = await OwnAddresses.follow(shared);
  const address = underlayAddress(config);
  const underlayWatch = new UnderlayWatch({ address, read: () => findUnderlay(address), alarms });
  const networkWatch = new NetworkWatch({
    tun: network,
    routes,
    others: [guard, own, underlayWatch, ...(encrypted === undefined ? [] : [encrypted])],
    events: new NetworkEvents(),
    log,
    nowMs: () => performance.now(),
    clock: () => new Date(),
  });
  undo.add("stop watching the network", () => networkWatch.close());
  return { networkWatch, ending, persists };
}
