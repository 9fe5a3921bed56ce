// The facts that the checks are about, read from this machine.

import { release } from "node:os";
import { reasonOf, SapwoodError } from "../base/errors.ts";
import type { StatusReport } from "../model/reports.ts";
import { TUNNEL_PREFIX } from "../net/wireguard-key.ts";
import { isClockSynchronised } from "../sys/clock-state.ts";
import { chooseMtu, findUnderlay, sysctlsFor, type Underlay } from "../sys/interface.ts";
import { readSysctl } from "../sys/kernel-sysctls.ts";
import { Routes } from "../sys/links.ts";
import { expectTunFree } from "../sys/persistent-tun.ts";
import { udpPortHolders } from "../sys/port-holders.ts";
import { sharesNetns } from "../sys/process-netns.ts";
import { networkRightsOf } from "../sys/rights.ts";
import { hasTool } from "../sys/tool.ts";
import { tryTun } from "../sys/tun.ts";
import { openUdpSockets } from "../sys/udp-socket.ts";
import { askPeers } from "./ask-peers.ts";
import type { ClockFacts } from "./checks/clock.ts";
import type { FirewallFacts } from "./checks/firewall.ts";
import type { KernelFacts, RightsFacts, ToolFacts, TunFacts } from "./checks/machine.ts";
import type { ForwardingFacts, MtuFacts, PortFacts, ReversePathFacts } from "./checks/network.ts";
import type { PeerFacts } from "./checks/peers.ts";
import { readFilters } from "./read-filters.ts";
import type { ProxyAnswers, Settings } from "./settings.ts";

type Status = StatusReport | undefined;

const TOOLS = [
  { program: "ip", package: "iproute2" },
  { program: "nft", package: "nftables" },
];
const WG = { program: "wg", package: "wireguard-tools" };
/** What WireGuard takes of the underlay's MTU. */
const WIREGUARD_OVERHEAD = 80;

export function isHere(status: Status): boolean {
  return status === undefined || sharesNetns(status.pid);
}

export function tools(settings: Settings | undefined): ToolFacts {
  const needed = settings?.wireguard === undefined ? TOOLS : [...TOOLS, WG];
  return { missing: needed.filter((tool) => !hasTool(tool)) };
}

export function rights(status: Status, settings: Settings | undefined): RightsFacts {
  const ofProxy = status && networkRightsOf(status.pid);
  const found = ofProxy ?? networkRightsOf("self");
  return {
    isProxy: ofProxy !== undefined,
    hasNetAdmin: found?.hasNetAdmin ?? false,
    hasBindService: found?.hasBindService ?? false,
    port: settings?.port ?? 0,
  };
}

export function clock(status: Status, settings: Settings | undefined): ClockFacts {
  return {
    isSynchronised: isClockSynchronised(),
    jumpMs: status?.clockJumpMs,
    isEncrypted: settings?.wireguard !== undefined,
  };
}

/** Where no proxy has a TUN and sockets, they are opened for a moment. */
export async function machine(
  { tun: { name }, nodeId }: Settings,
  status: Status,
): Promise<{ readonly tun: TunFacts; readonly kernel: KernelFacts }> {
  const kernel = { release: release() };
  if (status !== undefined) {
    return {
      tun: { name, network: status.network, problem: undefined },
      kernel: { ...kernel, offloads: status.offloads },
    };
  }
  try {
    const offered = tryTun();
    const [socket] = openUdpSockets(1, { address: "::", port: 0, switchedOff: {} });
    const offloads = [...offered, ...(socket?.offloads ?? [])];
    socket?.close();
    await expectTunFree(name, nodeId);
    return { tun: { name, network: undefined, problem: undefined }, kernel: { ...kernel, offloads } };
  } catch (error) {
    const isOfRights = error instanceof SapwoodError && error.code === "missing-rights";
    const problem = { message: reasonOf(error), isOfRights };
    return { tun: { name, network: undefined, problem }, kernel: { ...kernel, offloads: undefined } };
  }
}

export async function mtu({ address, bind, tun, wireguard }: Settings): Promise<MtuFacts> {
  const underlay = await underlayOf({ address, bind });
  const left = wireguard === undefined ? underlay?.mtu : underlay && underlay.mtu - WIREGUARD_OVERHEAD;
  return {
    address,
    underlay,
    tun: { name: tun.name, mtu: chooseMtu(tun.mtu, left) },
    isEncrypted: wireguard !== undefined,
  };
}

export async function forwarding({ tun, ranges, workloads }: Settings, status: Status): Promise<ForwardingFacts> {
  const wanted = sysctlsFor({ device: tun.name, ranges, underlayDevice: undefined })
    .filter(({ path }) => !path.includes(`/${tun.name}/`))
    .map(({ path, value }) => ({ path, wanted: value }));
  const links = (await workloadLinks(workloads).catch(() => [])).flatMap(({ link }) => link ?? []);
  const own = [...new Set(links)].map((link) => ({ path: `net/ipv4/conf/${link}/forwarding`, wanted: "1" }));
  const parameters = [...wanted, ...own].map((one) => ({ ...one, found: readSysctl(one.path) }));
  return { isRunning: status !== undefined, parameters };
}

export async function reversePaths({ address, bind, tun, peers, ranges }: Settings): Promise<ReversePathFacts> {
  const number = (device: string): number => Number(readSysctl(`net/ipv4/conf/${device}/rp_filter`) ?? 0);
  const routes = await Routes.read();
  const underlay = await underlayOf({ address, bind });
  const senders = peers
    .filter((peer) => !peer.address.includes(":"))
    .map((peer) => ({ address: peer.address, wayBack: [...routes.linksTo([peer.address])] }));
  const isBalancedV4 = ranges.some((range) => !range.includes(":"));
  return {
    all: number("all"),
    interfaces: [
      ...(isBalancedV4 ? [{ device: tun.name, own: number(tun.name), senders: [], mustBeLoose: true }] : []),
      ...(underlay === undefined
        ? []
        : [{ device: underlay.device, own: number(underlay.device), senders, mustBeLoose: false }]),
    ],
  };
}

export async function firewall({
  address,
  bind,
  tun,
  ranges,
  port,
  wireguard,
  peers,
  workloads,
}: Settings): Promise<FirewallFacts> {
  const device = (await underlayOf({ address, bind }))?.device;
  const outer = { device, port: wireguard?.port ?? port, peers: peers.map((peer) => peer.address) };
  const inner = wireguard && { device: wireguard.device, port, peers: [TUNNEL_PREFIX.text] };
  return {
    ...(await readFilters()),
    tun: tun.name,
    ranges,
    tunnels: inner === undefined ? [outer] : [outer, inner],
    workloads: await workloadLinks(workloads),
  };
}

/** The tunnel's, and WireGuard's. */
export function ports({ bind, port, wireguard }: Settings, status: Status): PortFacts[] {
  const isRunning = status !== undefined;
  return [port, ...(wireguard === undefined ? [] : [wireguard.port])].map((one) => {
    const problem = isRunning ? undefined : portProblem(one === port ? bind : "::", one);
    const holders = problem?.code === "port-in-use" ? udpPortHolders(one) : [];
    return { port: one, isRunning, problem, holders };
  });
}

export async function peers(
  settings: Settings,
  proxy: ProxyAnswers | undefined,
  ports: readonly PortFacts[],
): Promise<PeerFacts> {
  const { acceptsStrangers, bind, port, wireguard } = settings;
  if (proxy !== undefined) {
    const { uptimeMs, tun } = proxy.status;
    return { kind: "measured", nodes: proxy.nodes, uptimeMs, tunMtu: tun.mtu, acceptsStrangers };
  }
  if (settings.peers.length === 0) return { kind: "asked", peers: [] };
  if (wireguard !== undefined)
    return { kind: "unasked", reason: "an encrypted underlay is asked by a running proxy alone" };
  if (ports.some(({ problem }) => problem !== undefined)) {
    return { kind: "unasked", reason: `nobody can be asked without UDP port ${port}` };
  }
  return { kind: "asked", peers: await askPeers(settings.peers, bind, port) };
}

function portProblem(address: string, port: number): PortFacts["problem"] {
  try {
    for (const socket of openUdpSockets(1, { address, port, switchedOff: {} })) socket.close();
    return undefined;
  } catch (error) {
    return { code: error instanceof SapwoodError ? error.code : "internal", message: reasonOf(error) };
  }
}

function underlayOf({ address, bind }: Pick<Settings, "address" | "bind">): Promise<Underlay | undefined> {
  return findUnderlay(["::", "0.0.0.0"].includes(bind) ? address : bind);
}

async function workloadLinks(workloads: Settings["workloads"]): Promise<FirewallFacts["workloads"]> {
  const routes = await Routes.read();
  return workloads.map((workload) => {
    const [link] = routes.nearLinksTo([workload.address]);
    return { ...workload, link };
  });
}
