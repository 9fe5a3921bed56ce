// A table of nftables of our own: what workloads and hosts on the links could make the node's kernel do for them, past
// the tunnel. Nothing in it remembers connections, so that a node without connection tracking stays without.
//
//   arrive   what the engine delivers and what the node sends itself pass. Packets with a source in a service range come
//            out of the TUN alone.
//            A packet whose receiver on the wire is a workload comes out of the TUN, or from where workloads are. Answers
//            to masqueraded workloads, and to ports that the node forwards, have the node's own address on the wire.
//            The node's own tunnel is no concern of connection tracking: no entry that a workload made earlier may send
//            its datagrams astray or give them another port.
//            No workload sends from an address of the node; for IPv4 the kernel does that itself.
//   originate  no process of the node sends from a service range, but to the node itself.
//   deliver  a workload has nothing to say to the sockets of the tunnel, whatever address it claims.
//   leave    after source translation: nobody but the node itself sends from its address and the tunnel's port, and no
//            workload from the tunnel's port at all, except to services and to other workloads.
//
// The table is replaced as a whole, in one transaction (nft(8)). Every packet of the node goes through it, so a rule
// first asks what hardly any packet has. Routing rules could hold sources as well, but with any rule of its own a kernel
// looks up each route in several tables (fib_lookup() in ip_fib.h).

import { SapwoodError } from "../base/errors.ts";
import { runTool, type Tool } from "./tool.ts";

const NFT: Tool = { program: "nft", package: "nftables" };
/** Names that need no quoting beyond double quotes; "*" at the end would stand for many. */
const PLAIN_NAME = /^[^"*\\]+$/;

export interface FilterTarget {
  readonly tun: string;
  /** Prefixes of the services' addresses, from which only the TUN delivers. */
  readonly ranges: readonly string[];
  /** UDP ports from which only this node itself sends. */
  readonly ports: readonly number[];
  /** Addresses to which only the TUN, the links below and the node itself may send. */
  readonly workloads: readonly string[];
  /** Interfaces behind which workloads are. */
  readonly workloadLinks: readonly string[];
  /** Those of them behind which no node is. */
  readonly innerLinks: readonly string[];
}

export class PacketFilter {
  readonly #table: string;
  #script = "";
  #shown = ""; // as the kernel has it

  constructor(tun: string) {
    this.#table = `inet ${tableName(tun)}`;
  }

  /** Whether this is what was set last. */
  isSet(target: FilterTarget): boolean {
    return this.#script === scriptFor(this.#table, target);
  }

  /** Sets the table, also over that of a process before. Throws missing-tool, missing-rights or network-setup. */
  async set(target: FilterTarget): Promise<void> {
    const script = scriptFor(this.#table, target);
    await nft(["-f", "-"], script);
    this.#script = script;
    this.#shown = await this.#show();
  }

  /** Whether the table in the kernel is as it was set. */
  async isInForce(): Promise<boolean> {
    return this.#script !== "" && (await this.#show()) === this.#shown;
  }

  /** Removes the table, if it was set. */
  async remove(): Promise<void> {
    if (this.#script === "") return;
    this.#script = "";
    await nft(["-f", "-"], `add table ${this.#table}\ndelete table ${this.#table}\n`);
  }

  /** Empty when there is no such table. */
  #show(): Promise<string> {
    return nft(["--stateless", "list", "table", ...this.#table.split(" ")], "").catch((error: unknown) => {
      if (error instanceof SapwoodError && error.code === "network-setup") return "";
      throw error;
    });
  }
}

/** Interfaces may have names that tables cannot have. */
function tableName(tun: string): string {
  return `sapwood-${tun.replace(/[^\w.-]/g, "_")}`;
}

function scriptFor(table: string, target: FilterTarget): string {
  const { tun, ranges, ports, workloads, workloadLinks, innerLinks } = target;
  const own = ports.join(", ");
  const inside = [tun, "lo", ...workloadLinks];
  const fromRanges = (what: string) => ranges.map((range) => sourceRule(range, what)).join("\n");
  return `add table ${table}
delete table ${table}
table ${table} {
  set inside { type ifname; ${elements(inside.map(quoted))} }
  set inner { type ifname; ${elements(innerLinks.map(quoted))} }
  set workloads4 { type ipv4_addr; ${elements(workloads.filter((address) => !address.includes(":")))} }
  set workloads6 { type ipv6_addr; ${elements(workloads.filter((address) => address.includes(":")))} }
  chain arrive {
    type filter hook prerouting priority raw; policy accept;
    iifname { ${quoted(tun)}, "lo" } accept
${fromRanges("counter drop")}
    ip daddr @workloads4 iifname != @inside fib daddr type != local counter drop
    ip6 daddr @workloads6 iifname != @inside fib daddr type != local counter drop
    meta nfproto ipv6 iifname @inner fib saddr type local counter drop
    udp dport { ${own} } fib daddr type local notrack
  }
  chain originate {
    type filter hook output priority raw; policy accept;
${fromRanges('oifname != "lo" counter drop')}
    udp sport { ${own} } notrack
  }
  chain deliver {
    type filter hook input priority filter; policy accept;
    udp dport { ${own} } iifname @inner counter drop
  }
  chain leave {
    type filter hook postrouting priority srcnat + 1; policy accept;
    udp sport { ${own} } iif > 0 jump claim
  }
  chain claim {
    oifname @inside accept
    fib saddr type local counter drop
    iifname @inner counter drop
  }
}
`;
}

function sourceRule(range: string, what: string): string {
  return `    ${range.includes(":") ? "ip6" : "ip"} saddr ${range} ${what}`;
}

function elements(list: readonly string[]): string {
  return list.length === 0 ? "" : `elements = { ${list.join(", ")} };`;
}

function quoted(name: string): string {
  if (PLAIN_NAME.test(name)) return `"${name}"`;
  throw new SapwoodError(
    "network-setup",
    `The name of an interface must have no quotation mark, star or backslash for the packet filter; found ${name}.`,
  );
}

function nft(options: readonly string[], input: string): Promise<string> {
  return runTool(NFT, options, input, () => options.join(" "));
}
