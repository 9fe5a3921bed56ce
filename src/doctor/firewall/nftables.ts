// Reads what `nft --json list ruleset` prints (libnftables-json(5)). What is not understood of a rule becomes a
// condition that nothing is known about, so that nobody is blamed for it.

import type { Condition, FilterChain, FilterRule, FilterTable, Hook, Packet, Verdict } from "./rule-set.ts";
import { HOOKS } from "./rule-set.ts";

type Json = Readonly<Record<string, unknown>>;

const UNKNOWN: Condition = { field: undefined, values: [], isNegated: false };
const FAMILIES = ["ip", "ip6", "inet"] as const;
/** Statements that let the packet go on. */
const HARMLESS = ["counter", "log", "mangle", "notrack", "ct helper", "set", "comment"];
/** Statements that end the chain and do not drop. */
const TAKING = ["masquerade", "snat", "dnat", "redirect", "tproxy"];

/** `isCovered` says of which tables iptables-save tells more: some of their rules cannot be read here. */
export function parseNftables(json: string, isCovered: (family: string, name: string) => boolean): FilterTable[] {
  const entries = listOf(objectOf(JSON.parse(json)).nftables).map(objectOf);
  const all = (kind: string): Json[] => entries.flatMap((entry) => (kind in entry ? [objectOf(entry[kind])] : []));
  return all("table").flatMap(({ family, name }): FilterTable[] => {
    const known = FAMILIES.find((one) => one === family);
    if (known === undefined || typeof name !== "string" || isCovered(known, name)) return [];
    const own = (kind: string): Json[] => all(kind).filter((one) => one.family === family && one.table === name);
    const sets = new Map([...own("set"), ...own("map")].map((set) => [String(set.name), listOf(set.elem)]));
    const rules = own("rule");
    return [{ program: "nft", family: known, name, chains: own("chain").map((chain) => chainOf(chain, rules, sets)) }];
  });
}

type Sets = ReadonlyMap<string, readonly unknown[]>;

function chainOf({ name, hook, type, policy }: Json, rules: readonly Json[], sets: Sets): FilterChain {
  return {
    name: String(name),
    hook: type === "nat" ? undefined : HOOKS.find((one): one is Hook => one === hook),
    policy: policy === "drop" ? "drop" : "accept",
    rules: rules.filter(({ chain }) => chain === name).flatMap((rule) => rulesOf(rule, sets)),
  };
}

/** Several for a map of verdicts, none for a rule that lets everything go on. */
function rulesOf({ handle, expr }: Json, sets: Sets): FilterRule[] {
  const text = `handle ${handle}`;
  const conditions: Condition[] = [];
  for (const statement of listOf(expr).map(objectOf)) {
    const [kind = "", content] = Object.entries(statement)[0] ?? [];
    const verdict = verdictOf(kind, content);
    if (verdict !== undefined) return [{ text, conditions, verdict }];
    if (kind === "vmap")
      return mapped(objectOf(content), sets).map((rule) => ({
        ...rule,
        text,
        conditions: [...conditions, ...rule.conditions],
      }));
    if (kind === "match") conditions.push(...matched(objectOf(content), sets));
    else if (kind === "xt") {
      const { type, name } = objectOf(content);
      if (type === "target" && name === "REJECT") return [{ text, conditions, verdict: { kind: "drop" } }];
      if (type === "match" && name !== "comment") conditions.push(UNKNOWN);
    } else if (!HARMLESS.includes(kind)) conditions.push(UNKNOWN);
  }
  return [];
}

function verdictOf(kind: string, content: unknown): Verdict | undefined {
  if (kind === "accept" || kind === "drop" || kind === "return") return { kind };
  if (kind === "reject") return { kind: "drop" };
  if (kind === "jump" || kind === "goto") return { kind, chain: String(objectOf(content).target) };
  return TAKING.includes(kind) ? { kind: "accept" } : undefined;
}

/** The rules that a map of verdicts stands for. */
function mapped({ key, data }: Json, sets: Sets): Omit<FilterRule, "text">[] {
  return elementsOf(data, sets).flatMap((element) => {
    const [value, outcome] = listOf(element);
    const [kind = "", content] = Object.entries(objectOf(outcome))[0] ?? [];
    const verdict = verdictOf(kind, content);
    if (verdict === undefined) return [];
    return [{ conditions: matched({ op: "==", left: key, right: value }, sets), verdict }];
  });
}

function matched({ op, left, right }: Json, sets: Sets): Condition[] {
  const about = fieldOf(objectOf(left));
  const values = elementsOf(right, sets).map(textOf);
  if (about === undefined || values.includes(undefined)) return [UNKNOWN];
  if (op !== "==" && op !== "!=" && op !== "in") return [UNKNOWN];
  const known = values.filter((value) => value !== undefined).map((value) => about.rename?.get(value) ?? value);
  return [...(about.implied ?? []), { field: about.field, values: known, isNegated: op === "!=" }];
}

interface Subject {
  readonly field: keyof Packet;
  /** What else a packet has that has such a field. */
  readonly implied?: readonly Condition[];
  readonly rename?: ReadonlyMap<string, string>;
}

/** What a text stands for that somebody else chose: names of Object.prototype stand for nothing. */
const mapOf = <Value>(values: Readonly<Record<string, Value>>): ReadonlyMap<string, Value> =>
  new Map(Object.entries(values));
const META = mapOf<Subject>({
  iifname: { field: "incoming" },
  iif: { field: "incoming" },
  oifname: { field: "outgoing" },
  oif: { field: "outgoing" },
  l4proto: { field: "protocol", rename: mapOf({ 6: "tcp", 17: "udp" }) },
  nfproto: { field: "family", rename: mapOf({ ipv4: "4", ipv6: "6" }) },
  protocol: { field: "family", rename: mapOf({ ip: "4", ip6: "6" }) },
});
const CONNECTION = mapOf<Subject>({ state: { field: "state" }, status: { field: "status" } });
const PORTS = mapOf<keyof Packet>({ sport: "sourcePort", dport: "destinationPort" });
const ADDRESSES = mapOf<keyof Packet>({ saddr: "source", daddr: "destination" });

function fieldOf({ meta, ct, fib, payload }: Json): Subject | undefined {
  if (meta !== undefined) return META.get(String(objectOf(meta).key));
  if (ct !== undefined) return CONNECTION.get(String(objectOf(ct).key));
  if (fib !== undefined) {
    const { result, flags } = objectOf(fib);
    return result === "type" && listOf(flags).join() === "daddr" ? { field: "destinationType" } : undefined;
  }
  if (payload === undefined) return undefined;
  const { protocol, field } = objectOf(payload);
  const name = String(field);
  if (protocol === "ip" || protocol === "ip6") {
    const isNext = name === "protocol" || name === "nexthdr";
    const found = isNext ? "protocol" : ADDRESSES.get(name);
    return (
      found && {
        field: found,
        implied: [{ field: "family", values: [protocol === "ip" ? "4" : "6"], isNegated: false }],
      }
    );
  }
  const port = PORTS.get(name);
  if (port === undefined) return undefined;
  if (protocol === "th") return { field: port };
  return { field: port, implied: [{ field: "protocol", values: [String(protocol)], isNegated: false }] };
}

/** Of a set, one with a name, or a single value. */
function elementsOf(right: unknown, sets: Sets): readonly unknown[] {
  if (Array.isArray(right)) return right;
  if (typeof right === "string" && right.startsWith("@")) return sets.get(right.slice(1)) ?? [undefined];
  const { set } = objectOf(right);
  return set === undefined ? [right] : Array.isArray(set) ? set : [set];
}

function textOf(value: unknown): string | undefined {
  if (typeof value === "string" || typeof value === "number") return String(value);
  const { prefix, range, elem } = objectOf(value);
  if (prefix !== undefined) return `${objectOf(prefix).addr}/${objectOf(prefix).len}`;
  if (Array.isArray(range)) return `${range[0]}-${range[1]}`;
  return elem === undefined ? undefined : textOf(objectOf(elem).val);
}

function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
