// The address translation of containers as a table of nftables.

import { nft } from "../../../sys/nft-command.ts";
import {
  type Firewall,
  type FirewallOptions,
  type GuestPlace,
  type MappedPorts,
  PORTS_CHAIN,
} from "./firewall-rules.ts";
import { type AddressPair, V4_LENGTH, V6_LENGTH } from "./subnet.ts";

const TABLE = "inet sapwood_netmanager";
const MAPS = (["tcp", "udp"] as const).flatMap((protocol) =>
  ([4, 6] as const).map((family) => ({ protocol, family, name: `${protocol}${family}` })),
);
/** A table that does not exist cannot be deleted. */
const REMOVAL = [`add table ${TABLE}`, `delete table ${TABLE}`];

export class NftablesFirewall implements Firewall {
  #removeOthers: () => Promise<void>;

  /** `removeOthers` takes away the rules of another firewall for the same containers, which would come first. */
  constructor(removeOthers: () => Promise<void>) {
    this.#removeOthers = removeOthers;
  }

  async replace({ subnet, devices }: FirewallOptions, ports: readonly MappedPorts[]): Promise<void> {
    await this.#removeOthers();
    this.#removeOthers = async () => undefined; // once
    const names = devices.map((device) => `"${device}"`).join(", ");
    const outside = `oifname != { ${names} } masquerade`;
    await nft([
      ...REMOVAL,
      `table ${TABLE} {`,
      ...MAPS.map(({ name, family }) => `map ${name} { type inet_service : ipv${family}_addr . inet_service; }`),
      `chain ${PORTS_CHAIN} {`,
      ...MAPS.map(({ protocol, family, name }) => {
        return `dnat ${family === 4 ? "ip" : "ip6"} to ${protocol} dport map @${name}`;
      }),
      "}",
      ...["prerouting", "output"].map((hook) => {
        return `chain ${hook} { type nat hook ${hook} priority -100; fib daddr type local jump ${PORTS_CHAIN}; }`;
      }),
      "chain postrouting { type nat hook postrouting priority 100;",
      `ip saddr ${subnet.v4}/${V4_LENGTH} ${outside}`,
      `ip6 saddr ${subnet.v6}/${V6_LENGTH} ${outside}`,
      "}",
      "}",
      ...ports.flatMap((one) => elements(one).map((element) => `create element ${TABLE} ${element}`)),
    ]);
  }

  async remove(): Promise<void> {
    await nft(REMOVAL);
  }

  async leadToGuest({ netns, peer, addresses }: GuestPlace, guest: AddressPair): Promise<void> {
    const lines = [
      `table ${TABLE} {`,
      "chain prerouting { type nat hook prerouting priority -100;",
      `iifname "${peer}" dnat ip to ${guest.v4}`,
      `iifname "${peer}" dnat ip6 to ${guest.v6}`,
      "}",
      "chain postrouting { type nat hook postrouting priority 100;",
      `oifname "${peer}" snat ip to ${addresses.v4}`,
      `oifname "${peer}" snat ip6 to ${addresses.v6}`,
      "}",
      "}",
    ];
    await nft(lines, netns);
  }
}

function elements({ addresses, mappings }: MappedPorts): string[] {
  return mappings.flatMap(({ protocol, host, container }) => [
    `${protocol}4 { ${host} : ${addresses.v4} . ${container} }`,
    `${protocol}6 { ${host} : ${addresses.v6} . ${container} }`,
  ]);
}
