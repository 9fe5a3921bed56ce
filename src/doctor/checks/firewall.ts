// Whether packet filters drop datagrams of the tunnel, or packets between workloads and the TUN.

import { type Finding, ok, unseen, wrong } from "../finding.ts";
import { type Blame, blamesAt, type FilterTable, type Hook, type Packet } from "../firewall/rule-set.ts";

/** Workloads and nodes whose packets are looked at one by one. */
const SAMPLES_MAX = 64;

export interface FirewallFacts {
  readonly tables: readonly FilterTable[];
  /** Filters that could not be read, and why. */
  readonly unread: readonly { readonly program: string; readonly reason: string }[];
  readonly tun: string;
  readonly ranges: readonly string[];
  /** Where datagrams of other nodes arrive, and on which port: WireGuard's where the underlay is encrypted. */
  readonly tunnels: readonly {
    readonly device: string | undefined;
    readonly port: number;
    readonly peers: readonly string[];
  }[];
  readonly workloads: readonly {
    readonly address: string;
    readonly link: string | undefined;
    readonly isCalled: boolean;
  }[];
}

/** Packets of one kind, at the hooks that they pass. */
interface Stream {
  readonly what: string;
  readonly hooks: readonly Hook[];
  readonly packet: Packet;
  /** What tells them from others in a rule that accepts them. */
  readonly nft: string;
  readonly iptables: string;
}

export function firewallFindings(facts: FirewallFacts): Finding[] {
  const { tables, unread } = facts;
  const found = new Map<string, Finding>();
  for (const { what, hooks, packet, nft, iptables } of [
    ...facts.tunnels.flatMap(tunnelStreams),
    ...workloadStreams(facts),
  ]) {
    for (const hook of hooks) {
      for (const blame of blamesAt(tables, hook, packet)) {
        const key = `${blame.table.program} ${blame.table.family} ${blame.table.name} ${blame.chain.name} ${what}`;
        if (!found.has(key)) found.set(key, blameFinding(blame, what, accepting(blame, nft, iptables)));
      }
    }
  }
  const missing = unread.map(({ program, reason }) =>
    unseen("firewall", `the rules of ${program} could not be read: ${reason}`, "sudo sapwood doctor"),
  );
  if (found.size + missing.length > 0) return [...found.values(), ...missing];
  return [ok("firewall", `no rule drops packets of the tunnel or of workloads (${tables.length} tables)`)];
}

function blameFinding({ table, chain, rule, isCertain }: Blame, what: string, advice: string): Finding {
  const place = `chain ${chain.name} of ${table.program}'s table ${table.family} ${table.name}`;
  const by = rule === undefined ? `the policy of ${place}` : `a rule of ${place} (${rule})`;
  if (isCertain) return wrong("firewall", `${by} drops ${what}`, advice);
  return unseen("firewall", `${by} drops ${what}, unless a rule before accepts them: that could not be told`, advice);
}

function accepting({ table, chain }: Blame, nft: string, iptables: string): string {
  if (table.program === "nft") return `nft insert rule ${table.family} ${table.name} ${chain.name} ${nft} accept`;
  const where = table.name === "filter" ? "" : ` -t ${table.name}`;
  return `${table.program}${where} -I ${chain.name} ${iptables} -j ACCEPT`;
}

function tunnelStreams({ device, port, peers }: FirewallFacts["tunnels"][number]): Stream[] {
  const place = device === undefined ? "" : ` on ${device}`;
  return peers.slice(0, SAMPLES_MAX).flatMap((peer): Stream[] => {
    // The node's own filter keeps them from connection tracking (sys/packet-filter.ts).
    const common = { family: familyOf(peer), protocol: "udp", state: "untracked" } as const;
    const ports = { sourcePort: String(port), destinationPort: String(port) };
    return [
      {
        what: `datagrams of other nodes to UDP port ${port}${place}`,
        hooks: ["prerouting", "input"],
        packet: {
          ...common,
          source: peer,
          incoming: device,
          outgoing: "",
          destinationPort: String(port),
          destinationType: "local",
        },
        nft: `udp dport ${port}`,
        iptables: `-p udp --dport ${port}`,
      },
      {
        what: `datagrams to other nodes from UDP port ${port}${place}`,
        hooks: ["output", "postrouting"],
        packet: { ...common, ...ports, destination: peer, incoming: "", outgoing: device, destinationPort: undefined },
        nft: `udp sport ${port}`,
        iptables: `-p udp --sport ${port}`,
      },
    ];
  });
}

function workloadStreams({ tun, ranges, workloads }: FirewallFacts): Stream[] {
  const known = workloads.filter(({ link }) => link !== undefined).slice(0, SAMPLES_MAX);
  const any = ranges.map((range) => ({
    address: undefined,
    link: undefined,
    isCalled: false,
    family: familyOf(range),
  }));
  const all = known.length === 0 ? any : known.map((one) => ({ ...one, family: familyOf(one.address) }));
  return all.flatMap(({ address, link, isCalled, family }) =>
    ranges
      .filter((range) => familyOf(range) === family)
      .flatMap((range): Stream[] => {
        const from = link === undefined ? "workloads" : `workloads at ${link}`;
        return [
          {
            what: `packets of ${from} into ${tun} to ${range}`,
            hooks: ["prerouting", "forward", "postrouting"],
            packet: { family, incoming: link, outgoing: tun, source: address, destination: range, state: "new" },
            nft: `${link === undefined ? "" : `iifname "${link}" `}oifname "${tun}"`,
            iptables: `${link === undefined ? "" : `-i ${link} `}-o ${tun}`,
          },
          {
            what: `packets out of ${tun} to ${from}, from ${range}`,
            hooks: ["prerouting", "forward", "postrouting"],
            packet: {
              ...{ family, incoming: tun, outgoing: link, source: range, destination: address },
              state: isCalled ? "new" : "established",
            },
            nft: `iifname "${tun}"${link === undefined ? "" : ` oifname "${link}"`}`,
            iptables: `-i ${tun}${link === undefined ? "" : ` -o ${link}`}`,
          },
        ];
      }),
  );
}

function familyOf(address: string): "4" | "6" {
  return address.includes(":") ? "6" : "4";
}
