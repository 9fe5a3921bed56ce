// Reads what `iptables-save` prints. What is not understood of a rule becomes a condition that nothing is known about,
// so that nobody is blamed for it.

import type { Condition, FilterChain, FilterRule, FilterTable, Hook, Packet, Verdict } from "./rule-set.ts";
import { HOOKS } from "./rule-set.ts";

/** Options with one value that say what a packet is like. */
const FIELDS: ReadonlyMap<string, keyof Packet> = new Map([
  ["-s", "source"],
  ["-d", "destination"],
  ["-i", "incoming"],
  ["-o", "outgoing"],
  ["-p", "protocol"],
  ["--sport", "sourcePort"],
  ["--sports", "sourcePort"],
  ["--dport", "destinationPort"],
  ["--dports", "destinationPort"],
  ["--ctstate", "state"],
  ["--ctstatus", "status"],
  ["--dst-type", "destinationType"],
  ["--state", "state"],
]);
/** Options with one value that say nothing. */
const SILENT = ["-m", "--comment"];
const PROTOCOLS: ReadonlyMap<string, string> = new Map([
  ["6", "tcp"],
  ["17", "udp"],
]);

/** Chains that lead to a decision of the kernel; those of nat decide nothing about packets. */
export function parseIptables(saved: string, program: FilterTable["program"]): FilterTable[] {
  const tables: { name: string; chains: Map<string, FilterChain & { readonly rules: FilterRule[] }> }[] = [];
  for (const line of saved.split("\n")) {
    const [first = ""] = line;
    const table = tables.at(-1);
    if (first === "*") tables.push({ name: line.slice(1).trim(), chains: new Map() });
    else if (first === ":" && table !== undefined) {
      const [name = "", policy] = line.slice(1).split(" ");
      const hook = HOOKS.find((one): one is Hook => one.toUpperCase() === name);
      table.chains.set(name, { name, hook, policy: policy === "DROP" ? "drop" : "accept", rules: [] });
    } else if (line.startsWith("-A ") && table !== undefined) {
      const [, name = "", ...words] = wordsOf(line);
      const rule = ruleOf(words, line, (target) => table.chains.has(target));
      if (rule !== undefined) table.chains.get(name)?.rules.push(rule);
    }
  }
  const family = program.startsWith("ip6") ? "ip6" : "ip";
  return tables
    .filter(({ name }) => name !== "nat")
    .map(({ name, chains }) => ({ program, family, name, chains: [...chains.values()] }));
}

/** Undefined: packets go on as if the rule were not there. */
function ruleOf(words: readonly string[], text: string, isChain: (target: string) => boolean): FilterRule | undefined {
  const conditions: Condition[] = [];
  let isNegated = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "!") {
      isNegated = true;
      continue;
    }
    if (word === "-j" || word === "-g") {
      const verdict = verdictOf(words[i + 1] ?? "", word === "-g", isChain);
      return verdict && { text, conditions, verdict };
    }
    const field = FIELDS.get(word);
    if (field !== undefined) {
      i += 1;
      conditions.push({ field, values: valuesOf(field, words[i] ?? ""), isNegated });
    } else if (SILENT.includes(word)) i += 1;
    else if (word.startsWith("-")) conditions.push({ field: undefined, values: [], isNegated });
    isNegated = false;
  }
  return undefined;
}

function verdictOf(target: string, isGoto: boolean, isChain: (target: string) => boolean): Verdict | undefined {
  if (target === "ACCEPT") return { kind: "accept" };
  if (target === "DROP" || target === "REJECT") return { kind: "drop" };
  if (target === "RETURN") return { kind: "return" };
  return isChain(target) ? { kind: isGoto ? "goto" : "jump", chain: target } : undefined;
}

function valuesOf(field: keyof Packet, value: string): string[] {
  const values = field === "incoming" || field === "outgoing" ? [value] : value.split(",");
  return values.map((one) => {
    if (field === "incoming" || field === "outgoing") return one.replace(/\+$/, "*");
    if (field === "sourcePort" || field === "destinationPort") return one.replace(":", "-");
    if (field === "protocol") return PROTOCOLS.get(one) ?? one;
    return field === "state" || field === "destinationType" ? one.toLowerCase() : one;
  });
}

/** Words between spaces; one in quotation marks may have spaces, and marks behind a backslash. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, quoted, plain]) => quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "",
  );
}
