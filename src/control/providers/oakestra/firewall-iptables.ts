// The address translation of containers in the table "nat" of iptables, in chains of their own.

import { changeRules, type Family, listRules } from "../../../sys/iptables-command.ts";
import {
  type Firewall,
  type FirewallOptions,
  type GuestPlace,
  type MappedPorts,
  PORTS_CHAIN,
} from "./firewall-rules.ts";
import { type AddressPair, V4_LENGTH, V6_LENGTH } from "./subnet.ts";

const LEAVE = "OAKESTRA_LEAVE";
const CHAINS = [PORTS_CHAIN, LEAVE];
const FAMILIES: readonly Family[] = [4, 6];
const LOCAL = "-m addrtype --dst-type LOCAL";

export class IptablesFirewall implements Firewall {
  async replace(options: FirewallOptions, ports: readonly MappedPorts[]): Promise<void> {
    for (const family of FAMILIES) {
      await changeRules(family, "nat", [
        // Declaring a chain empties it.
        ...CHAINS.map((chain) => `:${chain} - [0:0]`),
        ...withoutJumps(await listRules(family, "nat")),
        ...ports.flatMap((one) => portRules(family, one)),
        ...options.devices.map((device) => `-A ${LEAVE} -o ${device} -j RETURN`),
        `-A ${LEAVE} -j MASQUERADE`,
        `-A PREROUTING ${LOCAL} -j ${PORTS_CHAIN}`,
        `-A OUTPUT ${LOCAL} -j ${PORTS_CHAIN}`,
        `-A POSTROUTING -s ${subnetOf(family, options)} -j ${LEAVE}`,
      ]);
    }
  }

  /** Whether there is any of its chains. A table that cannot be looked at has none. */
  async isThere(): Promise<boolean> {
    const rules = await Promise.all(FAMILIES.map((family) => listRules(family, "nat").catch(() => [])));
    return CHAINS.some((chain) => rules.flat().includes(`-N ${chain}`));
  }

  async remove(): Promise<void> {
    for (const family of FAMILIES) {
      const rules = await listRules(family, "nat");
      const chains = CHAINS.filter((chain) => rules.includes(`-N ${chain}`));
      if (chains.length === 0) continue;
      const removal = chains.flatMap((chain) => [`-F ${chain}`, `-X ${chain}`]);
      await changeRules(family, "nat", [...withoutJumps(rules), ...removal]);
    }
  }

  async leadToGuest({ netns, peer, addresses }: GuestPlace, guest: AddressPair): Promise<void> {
    for (const [family, inside, outside] of [
      [4, guest.v4, addresses.v4],
      [6, guest.v6, addresses.v6],
    ] as const) {
      const rules = [
        `-A PREROUTING -i ${peer} -j DNAT --to-destination ${inside}`,
        `-A POSTROUTING -o ${peer} -j SNAT --to-source ${outside}`,
      ];
      await changeRules(family, "nat", rules, netns);
    }
  }
}

/** Removes what leads into our chains, also what Oakestra's NetManager has left, which takes every address for the node's. */
function withoutJumps(rules: readonly string[]): string[] {
  const jumps = rules.filter((rule) => rule.startsWith("-A ") && CHAINS.some((chain) => rule.endsWith(` -j ${chain}`)));
  return jumps.map((rule) => rule.replace(/^-A/, "-D"));
}

function portRules(family: Family, { addresses, mappings }: MappedPorts): string[] {
  const address = family === 4 ? addresses.v4 : `[${addresses.v6}]`;
  return mappings.map(({ protocol, host, container }) => {
    return `-A ${PORTS_CHAIN} -p ${protocol} -m ${protocol} --dport ${host} -j DNAT --to-destination ${address}:${container}`;
  });
}

function subnetOf(family: Family, { subnet }: FirewallOptions): string {
  return family === 4 ? `${subnet.v4}/${V4_LENGTH}` : `${subnet.v6}/${V6_LENGTH}`;
}
