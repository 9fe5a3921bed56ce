// Routing rules by which packets with a source in a service range come out of the TUN alone. The node forwards, so
// without them any host on its links, any workload and any local process could hand the kernel packets with the address
// of a service, past the tunnel.
//
//    99: from RANGE iif TUN goto 101      what the engine delivers goes on as if these rules were not there
//   100: from RANGE prohibit
//   101: iif TUN nop
//
// The rule for local delivery (0) comes before. The check of reverse paths (rp_filter) of a workload's packet to a
// service asks with the TUN as the interface, and so passes.

import { addRules, changeRules, type FamilyOption, type FoundRule, ownRules, removeRules } from "./routing-rules.ts";

const EXCEPTION_PRIORITY = 99;
const PRIORITY = 100;
const END_PRIORITY = 101;

/** Sets the rules of a TUN that is there. Those that a proxy left that was killed are removed. */
export async function setSourceRules(device: string, ranges: readonly string[]): Promise<void> {
  for (const [family, ofFamily] of byFamily(ranges)) {
    const found = await ownRules(family);
    const wanted = rulesFor(device, ofFamily);
    const staying = found.filter(({ text, incoming }) => incoming !== device || wanted.includes(text));
    const isLeft = (rule: FoundRule): boolean => {
      return !wanted.includes(rule.text) && (rule.incoming === device || isOrphan(rule, staying));
    };
    const removed = found.filter(isLeft).map(({ text }) => text);
    const present = found.map(({ text }) => text);
    const missing = [...new Set(wanted)].filter((rule) => !present.includes(rule));
    await changeRules(family, removed, missing);
  }
}

/** Puts back those that are missing, and returns the ranges whose rules were. */
export async function restoreSourceRules(device: string, ranges: readonly string[]): Promise<string[]> {
  const restored: string[] = [];
  for (const [family, ofFamily] of byFamily(ranges)) {
    const added = await addRules(family, rulesFor(device, ofFamily));
    restored.push(...ofFamily.filter((range) => rulesFor(device, [range]).some((rule) => added.includes(rule))));
  }
  return restored;
}

/** Removes those that there are: the refusals first, so that nothing that the engine delivers is refused meanwhile. */
export async function removeSourceRules(device: string, ranges: readonly string[]): Promise<void> {
  for (const [family, ofFamily] of byFamily(ranges)) await removeRules(family, rulesFor(device, ofFamily).reverse());
}

/** In the order of setting: the target of the jumps, the jumps, and then what they lead past. */
function rulesFor(device: string, ranges: readonly string[]): string[] {
  return [
    `from all to all iif ${device} nop priority ${END_PRIORITY}`,
    ...ranges.map((range) => `from ${range} to all iif ${device} goto ${END_PRIORITY} priority ${EXCEPTION_PRIORITY}`),
    ...ranges.map((range) => `from ${range} to all prohibit priority ${PRIORITY}`),
  ];
}

/** A rule whose TUN is gone, or a refusal past which no TUN's packets are led. */
function isOrphan(rule: FoundRule, all: readonly FoundRule[]): boolean {
  if (rule.incoming !== undefined) return rule.isDetached;
  if (rule.from === "all") return false;
  return !all.some((other) => other.isJump && !other.isDetached && other.from === rule.from);
}

function byFamily(ranges: readonly string[]): [FamilyOption, string[]][] {
  const v4 = ranges.filter((range) => !range.includes(":"));
  const v6 = ranges.filter((range) => range.includes(":"));
  return [
    ["-4", v4],
    ["-6", v6],
  ].filter(([, list]) => (list?.length ?? 0) > 0) as [FamilyOption, string[]][];
}
