// What the machine gives a proxy: programs, rights, the TUN, the kernel's offloads.

import type { NetworkReport, OffloadReport } from "../../model/reports.ts";
import { type Finding, ok, wrong } from "../finding.ts";

export interface ToolFacts {
  readonly missing: readonly { readonly program: string; readonly package: string }[];
}

export function toolFindings({ missing }: ToolFacts): Finding[] {
  if (missing.length === 0) return [ok("tools", "all programs that are needed are there")];
  const names = missing.map(({ program }) => program).join(", ");
  const packages = [...new Set(missing.map((tool) => tool.package))].join(" ");
  return [wrong("tools", `missing: ${names}`, `apt-get install ${packages}`)];
}

export interface RightsFacts {
  /** Of the running proxy, else of this command. */
  readonly isProxy: boolean;
  readonly hasNetAdmin: boolean;
  readonly hasBindService: boolean;
  readonly port: number;
}

const PRIVILEGED_PORT_END = 1024;

export function rightsFindings({ isProxy, hasNetAdmin, hasBindService, port }: RightsFacts): Finding[] {
  const missing = [
    ...(hasNetAdmin ? [] : ["CAP_NET_ADMIN"]),
    ...(hasBindService || port >= PRIVILEGED_PORT_END ? [] : [`CAP_NET_BIND_SERVICE for port ${port}`]),
  ];
  if (missing.length === 0) return [ok("rights", `${isProxy ? "the proxy" : "this user"} has the capabilities`)];
  const message = `${isProxy ? "the proxy" : "this user"} lacks ${missing.join(" and ")} in this network namespace`;
  return [wrong("rights", message, isProxy ? "systemctl restart sapwood" : "sudo sapwood doctor")];
}

export interface TunFacts {
  readonly name: string;
  /** As the running proxy sees it; undefined when none runs. */
  readonly network: NetworkReport | undefined;
  /** Why one could not be opened, where none runs. */
  readonly problem: { readonly message: string; readonly isOfRights: boolean } | undefined;
}

export function tunFindings({ name, network, problem }: TunFacts): Finding[] {
  if (problem !== undefined) {
    const load = "modprobe tun; ls -l /dev/net/tun";
    return [wrong("tun", problem.message, problem.isOfRights ? "sudo sapwood doctor" : load)];
  }
  if (network === undefined) return [ok("tun", `the kernel gives this user a TUN, and the name ${name} is free`)];
  if (network.problems.length > 0) {
    return network.problems.map((sentence) => wrong("tun", sentence, "sapwood status; systemctl restart sapwood"));
  }
  if (!network.isUp) return [wrong("tun", `${name} is down`, `ip link set dev ${name} up`)];
  return [ok("tun", `${name} is up, with ${network.routes.join(", ")} routed into it`)];
}

export interface KernelFacts {
  readonly release: string;
  /** Undefined: they could not be tried. */
  readonly offloads: readonly OffloadReport[] | undefined;
}

/** An offload that is off costs speed and nothing else. */
export function kernelFindings({ release, offloads }: KernelFacts): Finding[] {
  const kernel = ok("kernel", `Linux ${release}`);
  if (offloads === undefined) return [kernel];
  const off = offloads.filter(({ on }) => !on).map(({ name, reason }) => `${name} is off (${reason})`);
  const all = offloads.map(({ name }) => name).join(", ");
  return [kernel, ok("offloads", off.length === 0 ? `${all} are in force` : `${off.join(", ")}: it works, and slower`)];
}
