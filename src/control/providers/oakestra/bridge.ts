// The bridge that containers of this node hang on. One that is there already is kept with the containers on it.

import { parseAddress } from "../../../net/address.ts";
import { hasInterface } from "../../../sys/interface-state.ts";
import { ip, ipBatch, parseList } from "../../../sys/ip-command.ts";
import { kernelSysctls } from "../../../sys/kernel-sysctls.ts";
import { bridgeAddresses, type Subnet, V4_LENGTH, V6_LENGTH } from "./subnet.ts";

export const BRIDGE = "goProxyBridge";
/** Makes the kernel tell the neighbours when the bridge's hardware address is set. */
const NOTIFY = [`ipv4/conf/${BRIDGE}/arp_notify`, `ipv6/conf/${BRIDGE}/ndisc_notify`];

/** Makes the bridge or takes over what is there; afterwards it has the subnet's first address and no other. */
export async function openBridge(subnet: Subnet, mtu: number): Promise<void> {
  const { v4, v6 } = bridgeAddresses(subnet);
  const wanted = [`${v4}/${V4_LENGTH}`, `${v6}/${V6_LENGTH}`];
  const found = hasBridge() ? await addressesOf() : undefined;
  const link = `${BRIDGE} address ${macOf(v4)} mtu ${mtu}`;
  const commands = [found === undefined ? `link add name ${link} type bridge` : `link set dev ${link}`];
  for (const old of found ?? []) if (!wanted.includes(old)) commands.push(`addr del ${old} dev ${BRIDGE}`);
  for (const address of wanted) {
    // A bridge without ports has no carrier, so that duplicate detection would never end (RFC 4862 section 5.4).
    const flags = address === wanted[1] ? " nodad" : "";
    if (!found?.includes(address)) commands.push(`addr add ${address} dev ${BRIDGE}${flags}`);
  }
  commands.push(`link set dev ${BRIDGE} up`);
  await ipBatch(commands);
  for (const name of NOTIFY) kernelSysctls.write(`net/${name}`, "1");
}

/**
 * A line of `ip -batch` that tells all containers on the bridge its hardware address. One that knows another address, of a
 * bridge before this one, sends to nobody until it asks anew, half a minute later. Set once more, the address is announced
 * by ARP (RFC 5227 section 3) and neighbour advertisements (RFC 4861 section 7.2.6).
 */
export function announcement(subnet: Subnet): string {
  return `link set dev ${BRIDGE} address ${macOf(bridgeAddresses(subnet).v4)}`;
}

export async function closeBridge(): Promise<void> {
  if (hasBridge()) await ipBatch([`link del dev ${BRIDGE}`]);
}

export function hasBridge(): boolean {
  return hasInterface(BRIDGE);
}

/** Global addresses with their prefix lengths. */
async function addressesOf(): Promise<string[]> {
  const [link] = parseList(await ip(["-json", "address", "show", "dev", BRIDGE, "scope", "global"]));
  const list = Array.isArray(link?.addr_info) ? link.addr_info : [];
  // `ip` prints an empty entry for each address of another scope.
  return list.flatMap(({ local, prefixlen }: Record<string, unknown>) =>
    typeof local === "string" ? [`${local}/${String(prefixlen)}`] : [],
  );
}

/**
 * An address of the bridge's own, locally administered (IEEE 802). Without it the bridge has that of one of its ports,
 * and another one whenever a container comes or goes: the others would send to nobody until they ask anew.
 */
function macOf(v4: string): string {
  const bytes = parseAddress(v4)?.subarray(12) ?? [];
  return ["02", "53", ...[...bytes].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}
