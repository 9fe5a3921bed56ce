// Rules with which what containers send and get passes the filters of other programs: Docker, for one, has everything
// dropped that the machine forwards and Docker does not know. They stand at the head of each chain that judges forwarded
// packets, as long as there is such a chain, and are known by their comment.

import { existsSync, readFileSync } from "node:fs";
import { changeRules, type Family, hasIptables, listRules } from "../../../sys/iptables-command.ts";
import { hasNft, listNft, nft } from "../../../sys/nft-command.ts";
import { BRIDGE } from "./bridge.ts";

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
}

const FAMILIES: readonly Family[] = [4, 6];
const COMMENT = "sapwood_netmanager";
const CHAIN = "FORWARD";
const IPTABLES_RULES = ["-i", "-o"].map((way) => `${CHAIN} ${way} ${BRIDGE} -m comment --comment ${COMMENT} -j ACCEPT`);
const NFT_RULES = ["iifname", "oifname"].map((way) => `${way} "${BRIDGE}" counter accept comment "${COMMENT}"`);
/** Proxies of this program have tables of their own, which judge nothing that is forwarded. */
const OWN_TABLE = /^sapwood/;

/** Makes sure of the rules where they are needed. Throws missing-rights or network-setup. */
export async function allowForwarding(): Promise<void> {
  if (hasNft()) await changeNftables(true);
  if (!hasNft() || hasLegacyFilter()) await changeIptables(true);
}

/** Removes them. */
export async function endForwarding(): Promise<void> {
  if (hasNft()) await changeNftables(false);
  if (!hasNft() || hasLegacyFilter()) await changeIptables(false);
}

/** nftables also shows the chains of an iptables that was built upon it. */
async function changeNftables(isAllowed: boolean): Promise<void> {
  const changes: string[] = [];
  for (const chain of await forwardChains()) {
    const where = `${chain.family} ${chain.table} ${chain.name}`;
    const rules = rulesIn(await listNft(["chain", chain.family, chain.table, chain.name], ["--handle", "--stateless"]));
    const own = rules.filter((rule) => rule.includes(`comment "${COMMENT}"`));
    if (isAllowed && (own.length === NFT_RULES.length || rules.length === own.length)) continue;
    for (const rule of own) changes.push(`delete rule ${where} handle ${/# handle (\d+)/.exec(rule)?.[1]}`);
    if (isAllowed) changes.push(...NFT_RULES.map((rule) => `insert rule ${where} ${rule}`));
  }
  if (changes.length > 0) await nft(changes);
}

async function forwardChains(): Promise<Chain[]> {
  const { nftables } = JSON.parse(await listNft(["chains"], ["--json"])) as {
    nftables: readonly { readonly chain?: Chain & { readonly hook?: string; readonly type?: string } }[];
  };
  return nftables.flatMap(({ chain }) => {
    const isJudge = chain?.hook === "forward" && chain.type === "filter" && chain.family !== "netdev";
    return chain !== undefined && isJudge && !OWN_TABLE.test(chain.table) ? [chain] : [];
  });
}

/** Lines of rules in what `nft --handle list chain` prints, and a policy that drops. */
function rulesIn(text: string): string[] {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter((line) => /policy drop|# handle \d+$/.test(line) && !/^(?:table|chain) /.test(line));
}

async function changeIptables(isAllowed: boolean): Promise<void> {
  if (!hasIptables()) return;
  for (const family of FAMILIES) {
    const rules = await listRules(family, "filter", [CHAIN]);
    const own = rules.filter(
      (rule) => rule.includes(`--comment ${COMMENT}`) || rule.includes(`--comment "${COMMENT}"`),
    );
    const foreign = rules.filter((rule) => !own.includes(rule) && rule !== `-P ${CHAIN} ACCEPT`);
    if (isAllowed && (own.length === IPTABLES_RULES.length || foreign.length === 0)) continue;
    const changes = own.map((rule) => rule.replace(/^-A/, "-D"));
    if (isAllowed) changes.push(...IPTABLES_RULES.map((rule) => `-I ${rule}`));
    if (changes.length > 0) await changeRules(family, "filter", changes);
  }
}

/** Whether the older interface of iptables is in use, which nftables does not show. */
function hasLegacyFilter(): boolean {
  const path = "/proc/self/net/ip_tables_names";
  return existsSync(path) && readFileSync(path, "utf8").split("\n").includes("filter");
}
