// The packet filters of this network namespace.

import { reasonOf } from "../base/errors.ts";
import { type IptablesProgram, iptablesSavers, savedRules } from "../sys/iptables-command.ts";
import { hasNft, listNft } from "../sys/nft-command.ts";
import { parseIptables } from "./firewall/iptables.ts";
import { parseNftables } from "./firewall/nftables.ts";
import type { FilterTable } from "./firewall/rule-set.ts";

/** The node's own table drops what comes past the tunnel (sys/packet-filter.ts). */
const OWN_TABLE = /^sapwood-/;
/** iptables-save says so where its rules are in nftables, too. */
const IN_NFTABLES = "(nf_tables)";

interface Filters {
  readonly tables: readonly FilterTable[];
  readonly unread: readonly { readonly program: string; readonly reason: string }[];
}

export async function readFilters(): Promise<Filters> {
  const tables: FilterTable[] = [];
  const unread: { program: string; reason: string }[] = [];
  const covered = new Set<string>();
  const attempt = async (program: string, read: () => Promise<readonly FilterTable[]>): Promise<void> => {
    try {
      tables.push(...(await read()).filter(({ name }) => !OWN_TABLE.test(name)));
    } catch (error) {
      unread.push({ program, reason: reasonOf(error) });
    }
  };
  for (const program of iptablesSavers()) await attempt(program, () => readIptables(program, covered));
  if (hasNft()) {
    const isCovered = (family: string, name: string): boolean => covered.has(`${family} ${name}`);
    await attempt("nft", async () => parseNftables(await listNft(["ruleset"], ["-j"]), isCovered));
  }
  return { tables, unread };
}

async function readIptables(program: IptablesProgram, covered: Set<string>): Promise<FilterTable[]> {
  const saved = await savedRules(program);
  const tables = parseIptables(saved, program);
  if (saved.includes(IN_NFTABLES)) for (const { family, name } of tables) covered.add(`${family} ${name}`);
  return tables;
}
