// Reads what there is and looks at it: the proxy's answers and the configuration come along, the rest is of this
// machine. A thing that cannot be read keeps no other from being looked at.

import { reasonOf } from "../base/errors.ts";
import type { Config } from "../control/config/config.ts";
import { clockFindings } from "./checks/clock.ts";
import { firewallFindings } from "./checks/firewall.ts";
import { kernelFindings, rightsFindings, toolFindings, tunFindings } from "./checks/machine.ts";
import { forwardingFindings, mtuFindings, portFindings, reversePathFindings } from "./checks/network.ts";
import { peerFindings } from "./checks/peers.ts";
import { configFindings, proxyFindings } from "./checks/proxy.ts";
import { type DoctorReport, type Finding, unseen } from "./finding.ts";
import * as facts from "./read-facts.ts";
import { type ProxyAnswers, type Settings, settingsOf } from "./settings.ts";

interface Patient {
  readonly socket: string;
  /** Undefined: no proxy answers. */
  readonly proxy: ProxyAnswers | undefined;
  /** Why a proxy that may be there could not be asked. */
  readonly refusal: string | undefined;
  readonly configFile: string | undefined;
  readonly config: Config | undefined;
  /** Why there is no configuration. */
  readonly configProblem: string | undefined;
}

export async function examine(patient: Patient): Promise<DoctorReport> {
  const { socket, proxy, refusal, configFile, config, configProblem } = patient;
  const status = proxy?.status;
  const settings = settingsOf(config, proxy);
  const findings = [
    ...(refusal === undefined
      ? proxyFindings({ socket, status, isHere: facts.isHere(status) })
      : [unseen("proxy", refusal, "sudo sapwood doctor")]),
    ...configFindings({ file: configFile, problem: configProblem, status }),
    ...toolFindings(facts.tools(settings)),
    ...rightsFindings(facts.rights(status, settings)),
    ...(settings === undefined ? [] : await nodeFindings(patient, settings)),
    ...clockFindings(facts.clock(status, settings)),
  ];
  return { ok: findings.every(({ state }) => state !== "wrong"), isRunning: proxy !== undefined, findings };
}

/** What can be looked at where it is known what the node is, or is to be. */
async function nodeFindings({ proxy, refusal }: Patient, settings: Settings): Promise<Finding[]> {
  const status = proxy?.status;
  const machine = await facts.machine(settings, status);
  const found = [
    ...(refusal === undefined ? tunFindings(machine.tun) : []),
    ...kernelFindings(machine.kernel),
    ...(await attempt("mtu", async () => mtuFindings(await facts.mtu(settings)))),
    ...forwardingFindings(await facts.forwarding(settings, status)),
    ...(await attempt("rp_filter", async () => reversePathFindings(await facts.reversePaths(settings)))),
    ...(await attempt("firewall", async () => firewallFindings(await facts.firewall(settings)))),
  ];
  if (refusal !== undefined) return found;
  const ports = facts.ports(settings, status);
  return [...found, ...ports.flatMap(portFindings), ...peerFindings(await facts.peers(settings, proxy, ports))];
}

async function attempt(check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    return [unseen(check, reasonOf(error), "sudo sapwood doctor")];
  }
}
