// Routing rules of ours, marked so that no other one is ever touched (ip-rule(8)). A rule is written as `ip rule` reads
// it, with all its parts: "from 10.30.0.0/16 to all iif sapwood0 goto 101 priority 99".

import { ip, ipBatch, parseList } from "./ip-command.ts";

/** Beyond the numbers of rtnetlink.h and of routing daemons (rt_protos); routes of ours have it, too. */
const PROTOCOL = 199;

export type FamilyOption = "-4" | "-6";

/** A rule that the kernel has. */
export interface FoundRule {
  readonly text: string;
  readonly from: string;
  readonly isJump: boolean;
  readonly incoming: string | undefined;
  /** The interface that it names is not there. */
  readonly isDetached: boolean;
}

/** Those of ours, also of other proxies. */
export async function ownRules(family: FamilyOption): Promise<FoundRule[]> {
  const rules = parseList(await ip([family, "-details", "-json", "rule", "show"]));
  return rules.filter(({ protocol }) => Number(protocol) === PROTOCOL).map(foundRule);
}

/** Adds those that are missing, in their order, and returns them. */
export async function addRules(family: FamilyOption, rules: readonly string[]): Promise<string[]> {
  const present = new Set((await ownRules(family)).map(({ text }) => text));
  const missing = [...new Set(rules)].filter((rule) => !present.has(rule));
  await changeRules(family, [], missing);
  return missing;
}

/** Removes those that there are, in their order. */
export async function removeRules(family: FamilyOption, rules: readonly string[]): Promise<void> {
  const present = new Set((await ownRules(family)).map(({ text }) => text));
  const found = rules.filter((rule) => present.has(rule));
  await changeRules(family, found, []);
}

/** Removes rules that there are, then adds others that there are not. */
export async function changeRules(
  family: FamilyOption,
  removed: readonly string[],
  added: readonly string[],
): Promise<void> {
  const commands = [
    ...removed.map((rule) => `rule del ${rule}`),
    ...added.map((rule) => `rule add ${rule} protocol ${PROTOCOL}`),
  ];
  if (commands.length > 0) await ipBatch(commands, [family]);
}

function foundRule(rule: Record<string, unknown>): FoundRule {
  const { priority, src, srclen, dst, dstlen, iif, goto, action, table } = rule;
  const from = prefix(src, srclen);
  const what =
    goto !== undefined
      ? `goto ${goto}`
      : "nop" in rule
        ? "nop"
        : (action ?? (table === undefined ? "" : `lookup ${table}`));
  return {
    text: `from ${from} to ${prefix(dst, dstlen)}${iif === undefined ? "" : ` iif ${iif}`} ${what} priority ${priority}`,
    from,
    isJump: goto !== undefined,
    incoming: typeof iif === "string" ? iif : undefined,
    isDetached: "iif_detached" in rule,
  };
}

/** A host is shown without its length. */
function prefix(address: unknown, length: unknown): string {
  if (address === undefined || address === "all") return "all";
  if (length !== undefined) return `${address}/${length}`;
  return `${address}/${String(address).includes(":") ? 128 : 32}`;
}
