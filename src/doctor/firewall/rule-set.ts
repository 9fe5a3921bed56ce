// Rules of a packet filter, whichever program set them, and what they do to packets that are not quite known: those
// from any address of a range, of any protocol. Promises: "drop" is said of what is surely dropped.

import { contains, familyOf, type Prefix, parsePrefix } from "../../net/address.ts";

/** Jumps that may be under way at once (linux/netfilter/nf_tables.h, NFT_JUMP_STACK_SIZE). */
const DEPTH_MAX = 16;

export const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;
export type Hook = (typeof HOOKS)[number];

export type Verdict =
  | { readonly kind: "accept" | "drop" | "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: string };

/** Fields of a packet. Values are text: "br*", "10.30.0.0/16", "80-90", "udp", "established". */
export interface Packet {
  readonly family: "4" | "6";
  readonly incoming?: string | undefined; // interface; empty: it comes from this machine
  readonly outgoing?: string | undefined; // empty: it goes to this machine
  readonly source?: string | undefined; // address or prefix
  readonly destination?: string | undefined;
  readonly protocol?: string | undefined;
  readonly sourcePort?: string | undefined;
  readonly destinationPort?: string | undefined;
  /** As connection tracking knows it. */
  readonly state: "new" | "established" | "untracked";
  /** What connection tracking did to it: nothing, where nobody forwards a port of the tunnel or of a service. */
  readonly status?: undefined;
  /** Whose the destination is, where that is known. */
  readonly destinationType?: "local" | undefined;
}

export interface Condition {
  /** Undefined: nothing that a packet here is known by. */
  readonly field: keyof Packet | undefined;
  readonly values: readonly string[];
  readonly isNegated: boolean;
}

export interface FilterRule {
  /** As a person finds it: the line of iptables-save, or the handle. */
  readonly text: string;
  readonly conditions: readonly Condition[];
  readonly verdict: Verdict;
}

export interface FilterChain {
  readonly name: string;
  /** Undefined: only other chains lead to it. */
  readonly hook: Hook | undefined;
  readonly policy: "accept" | "drop";
  readonly rules: readonly FilterRule[];
}

/** A table and who changes it. */
export interface FilterTable {
  readonly program: "nft" | "iptables" | "ip6tables" | "iptables-legacy" | "ip6tables-legacy";
  readonly family: "ip" | "ip6" | "inet";
  readonly name: string;
  readonly chains: readonly FilterChain[];
}

/** Who drops a packet. */
export interface Blame {
  readonly table: FilterTable;
  /** The one that the hook has: a rule at its beginning comes before all others. */
  readonly chain: FilterChain;
  /** Undefined: the chain's policy. */
  readonly rule: string | undefined;
  /** False: a rule before may accept the packet, by something that is not known of it. */
  readonly isCertain: boolean;
}

/** Who drops a packet at this hook; one for each chain that does. */
export function blamesAt(tables: readonly FilterTable[], hook: Hook, packet: Packet): Blame[] {
  return tables
    .filter(({ family }) => family === "inet" || (family === "ip") === (packet.family === "4"))
    .flatMap((table) =>
      table.chains
        .filter((chain) => chain.hook === hook)
        .flatMap((chain) => new Walk(table, chain, packet).blame ?? []),
    );
}

/** For all packets, for a part of them, for none; "unknown": for some, and which is not known. */
type Match = "all" | "part" | "unknown" | "none";

class Walk {
  readonly #table: FilterTable;
  readonly #base: FilterChain;
  readonly #packet: Packet;
  #blame: Blame | undefined;
  #mayBeAccepted = false;

  constructor(table: FilterTable, base: FilterChain, packet: Packet) {
    this.#table = table;
    this.#base = base;
    this.#packet = packet;
    const isEnded = this.#walk(base, "all", 0);
    if (!isEnded && base.policy === "drop") this.#drop(undefined, "all");
  }

  get blame(): Blame | undefined {
    return this.#blame;
  }

  /** `by` which of the packets it is reached; true: none of those goes on after the chain. */
  #walk(chain: FilterChain, by: Match, depth: number): boolean {
    let reached = by;
    let haveReturned = false; // some of them, perhaps
    for (const { conditions, verdict, text } of chain.rules) {
      const match = weakest(conditions.map((condition) => matchOf(condition, this.#packet)));
      if (match === "none") continue;
      const isForAll = match === "all";
      const meant = weakest([match, reached]);
      if (verdict.kind === "drop") this.#drop(text, meant);
      else if (verdict.kind === "accept" && meant === "unknown") this.#mayBeAccepted = true;
      if (verdict.kind === "jump" || verdict.kind === "goto") {
        const next = this.#table.chains.find(({ name }) => name === verdict.chain);
        if (next === undefined || depth >= DEPTH_MAX) continue;
        const isEnded = this.#walk(next, meant, depth + 1);
        if (isForAll && (isEnded || verdict.kind === "goto")) return isEnded && !haveReturned;
      } else if (isForAll) return verdict.kind !== "return" && !haveReturned;
      else if (verdict.kind === "return") {
        haveReturned = true;
        reached = meant;
      }
    }
    return false;
  }

  #drop(rule: string | undefined, by: Match): void {
    if (by === "unknown") return; // a limit, say: others have to tell whether it is wrong
    this.#blame ??= { table: this.#table, chain: this.#base, rule, isCertain: !this.#mayBeAccepted };
  }
}

function weakest(matches: readonly Match[]): Match {
  return (["none", "unknown", "part"] as const).find((match) => matches.includes(match)) ?? "all";
}

function matchOf({ field, values, isNegated }: Condition, packet: Packet): Match {
  if (field === "status") return isMatch(isNegated);
  const value = field === undefined ? undefined : packet[field];
  if (field === undefined || value === undefined) return "unknown";
  const found = values.map((wanted) => compare(field, value, wanted));
  const match = (["all", "part", "unknown"] as const).find((one) => found.includes(one)) ?? "none";
  if (!isNegated) return match;
  return match === "all" ? "none" : match === "none" ? "all" : match;
}

function compare(field: keyof Packet, value: string, wanted: string): Match {
  switch (field) {
    case "source":
    case "destination":
      return comparePrefixes(value, wanted);
    case "sourcePort":
    case "destinationPort":
      return compareNumbers(Number(value), wanted);
    case "incoming":
    case "outgoing":
      return isMatch(wanted.endsWith("*") ? value.startsWith(wanted.slice(0, -1)) : value === wanted);
    default:
      return isMatch(value === wanted);
  }
}

function isMatch(is: boolean): Match {
  return is ? "all" : "none";
}

function compareNumbers(value: number, wanted: string): Match {
  const [first = "", last = first] = wanted.split("-");
  return /^\d+$/.test(first) && /^\d+$/.test(last)
    ? isMatch(value >= Number(first) && value <= Number(last))
    : "unknown";
}

function comparePrefixes(value: string, wanted: string): Match {
  const packets = prefixOf(value);
  const rules = prefixOf(wanted);
  if (packets === undefined || rules === undefined) return "unknown";
  if (rules.family !== packets.family) return "none";
  if (rules.length <= packets.length) return isMatch(contains(rules, packets.bytes));
  return contains(packets, rules.bytes) ? "part" : "none";
}

function prefixOf(text: string): Prefix | undefined {
  try {
    return parsePrefix(text.includes("/") ? text : `${text}/${familyOf(text) === 4 ? 32 : 128}`);
  } catch {
    return undefined; // a range from one address to another, say
  }
}
