// Routing rules of ours, marked so that no other one is ever touched (ip-rule(8)). A rule is written as `ip rule` reads
// it, with all its parts: "from all to fd00::/64 iif lo lookup main priority 99".

import { ip, ipBatch, parseList } from "./ip-command.ts";

/** Beyond the numbers of rtnetlink.h and of routing daemons (rt_protos); routes of ours have it, too. */
const PROTOCOL = 199;

type FamilyOption = "-4" | "-6";

/** Those of ours, also of other proxies. */
async function ownRules(family: FamilyOption): Promise<Set<string>> {
  const rules = parseList(await ip([family, "-details", "-json", "rule", "show"]));
  return new Set(rules.filter(({ protocol }) => Number(protocol) === PROTOCOL).map(textOf));
}

/** Adds those that are missing, in their order, and returns them. */
export async function addRules(family: FamilyOption, rules: readonly string[]): Promise<string[]> {
  const present = await ownRules(family);
  const missing = rules.filter((rule) => !present.has(rule));
  await change(
    family,
    missing.map((rule) => `rule add ${rule} protocol ${PROTOCOL}`),
  );
  return missing;
}

/** Removes those that there are, in their order. */
export async function removeRules(family: FamilyOption, rules: readonly string[]): Promise<void> {
  const present = await ownRules(family);
  const found = rules.filter((rule) => present.has(rule));
  await change(
    family,
    found.map((rule) => `rule del ${rule}`),
  );
}

async function change(family: FamilyOption, commands: readonly string[]): Promise<void> {
  if (commands.length > 0) await ipBatch(commands, [family]);
}

function textOf({ priority, src, srclen, dst, dstlen, iif, action, table }: Record<string, unknown>): string {
  const what = action ?? (table === undefined ? "" : `lookup ${table}`);
  const incoming = iif === undefined ? "" : ` iif ${iif}`;
  return `from ${prefix(src, srclen)} to ${prefix(dst, dstlen)}${incoming} ${what} priority ${priority}`;
}

/** A host is shown without its length. */
function prefix(address: unknown, length: unknown): string {
  if (address === undefined || address === "all") return "all";
  if (length !== undefined) return `${address}/${length}`;
  return `${address}/${String(address).includes(":") ? 128 : 32}`;
}
