// Address translation of the node: what containers send to the outside gets the node's address, and mapped ports of the
// node lead to containers. Only the node's own addresses are mapped, never those of services. By nftables where the machine
// has it, else by iptables.

import { SapwoodError } from "../../../base/errors.ts";
import { hasIptables } from "../../../sys/iptables-command.ts";
import { hasNft } from "../../../sys/nft-command.ts";
import { IptablesFirewall } from "./firewall-iptables.ts";
import { NftablesFirewall } from "./firewall-nftables.ts";
import type { Firewall } from "./firewall-rules.ts";

/** Throws missing-tool. */
export function machineFirewall(): Firewall {
  if (hasNft()) return new NftablesFirewall(removeIptablesRules);
  if (hasIptables()) return new IptablesFirewall();
  throw new SapwoodError("missing-tool", `The command "nft" or "iptables" is needed: install nftables or iptables.`);
}

/** Those of Oakestra's NetManager, or of this program when the machine had no nftables. */
async function removeIptablesRules(): Promise<void> {
  const iptables = new IptablesFirewall();
  if (hasIptables() && (await iptables.isThere())) await iptables.remove();
}
