// What packet filters do to packets, read from what nft and iptables-save print.

import { describe, expect, test } from "vitest";
import { type FirewallFacts, firewallFindings } from "../../../src/doctor/checks/firewall.ts";
import { parseIptables } from "../../../src/doctor/firewall/iptables.ts";
import { parseNftables } from "../../../src/doctor/firewall/nftables.ts";
import type { FilterTable } from "../../../src/doctor/firewall/rule-set.ts";

const NODE: Omit<FirewallFacts, "tables"> = {
  unread: [],
  tun: "sapwood0",
  ranges: ["10.30.0.0/16", "fdff::/16"],
  tunnels: [{ device: "eth0", port: 50103, peers: ["192.0.2.12", "192.0.2.13"] }],
  workloads: [{ address: "10.18.3.1", link: "br0", isCalled: true }],
};

/** "ok", or what is found, by its first words. */
function judged(tables: readonly FilterTable[], changes: Partial<FirewallFacts> = {}): string[] {
  return firewallFindings({ ...NODE, tables, ...changes }).map(({ state, message, advice }) =>
    state === "ok" ? "ok" : `${state}: ${message.replace(/^(?:the policy|a rule) of /, "")} -> ${advice}`,
  );
}

function iptables(
  rules: string,
  chains = ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]",
): FilterTable[] {
  return parseIptables(`*filter\n${chains}\n${rules}\nCOMMIT\n`, "iptables");
}

const INTO = "packets of workloads at br0 into sapwood0 to 10.30.0.0/16";
const OUT = "packets out of sapwood0 to workloads at br0, from 10.30.0.0/16";

describe("iptables", () => {
  test.each(["constructor", "__proto__", "toString"])("a word that is %s hides no rule behind it", (word) => {
    const rule = `-A FORWARD --string ${word} -j DROP\n-A FORWARD -p ${word} -j DROP`;
    const [table] = iptables(rule);
    const [, forward] = table?.chains ?? [];
    expect(forward?.rules.map(({ verdict, conditions }) => [verdict, conditions.map(({ values }) => values)])).toEqual([
      [{ kind: "drop" }, [[]]],
      [{ kind: "drop" }, [[word]]],
    ]);
  });

  test("a policy that drops what is forwarded is told once for each direction, with the rules that let it pass", () => {
    expect(judged(iptables("", ":FORWARD DROP [0:0]"))).toEqual([
      `wrong: chain FORWARD of iptables's table ip filter drops ${INTO} -> iptables -I FORWARD -i br0 -o sapwood0 -j ACCEPT`,
      `wrong: chain FORWARD of iptables's table ip filter drops ${OUT} -> iptables -I FORWARD -i sapwood0 -o br0 -j ACCEPT`,
    ]);
  });

  test("the rules that it says to type make it well", () => {
    const rules = "-A FORWARD -i br0 -o sapwood0 -j ACCEPT\n-A FORWARD -i sapwood0 -o br0 -j ACCEPT";
    expect(judged(iptables(rules, ":FORWARD DROP [0:0]"))).toEqual(["ok"]);
  });

  test.each([
    ["its port", "-A INPUT -p udp -m udp --dport 50103 -j DROP"],
    [
      "a list of ports",
      "-A INPUT -p udp -m multiport --dports 53,50100:50110 -j REJECT --reject-with icmp-port-unreachable",
    ],
    ["the interface", "-A INPUT -i eth+ -j DROP"],
    ["a node's address", "-A INPUT -s 192.0.2.12/32 -j DROP"],
    ["all but some ports", '-A INPUT -p udp ! --dport 53 -m comment --comment "only \\"names\\" -j ACCEPT" -j DROP'],
    ["another chain", "-A INPUT -p udp -j guard\n-A guard -s 10.0.0.0/8 -j RETURN\n-A guard -j DROP"],
    [
      "what connection tracking does not know",
      "-A INPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT\n-A INPUT -j DROP",
    ],
  ])("a rule that drops the tunnel by %s is told", (_, rules) => {
    const [found = ""] = judged(iptables(rules, ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:guard - [0:0]"));
    expect(found).toMatch(
      /^wrong: chain INPUT .* drops datagrams of other nodes to UDP port 50103 on eth0 -> iptables -I INPUT -p udp --dport 50103 -j ACCEPT$/,
    );
  });

  test.each([
    ["other ports", "-A INPUT -p udp -m udp --dport 53 -j DROP\n-A INPUT -p tcp -j DROP"],
    ["other interfaces", "-A INPUT -i wlan0 -j DROP\n-A FORWARD -i eth0 -j DROP"],
    ["other addresses", "-A INPUT -s 198.51.100.0/24 -j DROP\n-A FORWARD -d 10.99.0.0/16 -j DROP"],
    ["what is invalid", "-A FORWARD -m conntrack --ctstate INVALID -j DROP"],
    ["what comes too fast", "-A INPUT -m limit --limit 1/sec -j DROP"],
    ["what nothing is known about", "-A FORWARD -m set --match-set banned src -j DROP"],
    ["what was accepted before", "-A INPUT -p udp --dport 50103 -j ACCEPT\n-A INPUT -j DROP"],
    ["another port of workloads", "-A FORWARD -p tcp --dport 25 -j DROP"],
    ["nothing: it only logs", "-A FORWARD -j LOG --log-prefix x"],
    ["nothing: its chain returns", "-A INPUT -j none\n-A none -j RETURN\n-A none -j DROP"],
  ])("a rule about %s is nobody's concern", (_, rules) => {
    expect(judged(iptables(rules, ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:none - [0:0]"))).toEqual(["ok"]);
  });

  test("a part of a service range that is dropped is told", () => {
    expect(judged(iptables("-A FORWARD -d 10.30.7.0/24 -j DROP"))).toEqual([expect.stringContaining(`drops ${INTO}`)]);
  });

  test("what a rule accepts by something that is not known cannot be told", () => {
    const [found] = judged(iptables("-A FORWARD -m set --match-set nodes src -j ACCEPT", ":FORWARD DROP [0:0]"));
    expect(found).toMatch(/^unseen: .* unless a rule before accepts them/);
  });

  test("a container engine that lets its workloads out and answers in is well for clients alone", () => {
    const docker = [
      "-A FORWARD -j DOCKER-USER",
      "-A DOCKER-USER -j RETURN",
      "-A FORWARD -o br0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A FORWARD -i br0 ! -o br0 -j ACCEPT",
    ].join("\n");
    const chains = ":FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]";
    const client = { workloads: [{ address: "10.18.3.1", link: "br0", isCalled: false }] };
    expect(judged(iptables(docker, chains), client)).toEqual(["ok"]);
    expect(judged(iptables(docker, chains))).toEqual([expect.stringContaining(`drops ${OUT}`)]);
  });

  test("what ufw writes is understood: its port is dropped until it is allowed", () => {
    const chains = ":INPUT DROP [0:0]\n:ufw-before-input - [0:0]\n:ufw-not-local - [0:0]\n:ufw-user-input - [0:0]";
    const rules = (allowed: string) =>
      [
        "-A INPUT -j ufw-before-input",
        "-A ufw-before-input -i lo -j ACCEPT",
        "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A ufw-before-input -m conntrack --ctstate INVALID -j DROP",
        "-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT",
        "-A ufw-before-input -j ufw-not-local",
        "-A ufw-before-input -j ufw-user-input",
        "-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN",
        "-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN",
        "-A ufw-not-local -j DROP",
        allowed,
      ].join("\n");
    expect(judged(iptables(rules("-A ufw-user-input -p udp -m udp --dport 50103 -j ACCEPT"), chains))).toEqual(["ok"]);
    expect(judged(iptables(rules(""), chains))).toEqual([
      expect.stringMatching(/^wrong: chain INPUT .* -> iptables -I INPUT -p udp --dport 50103 -j ACCEPT$/),
    ]);
  });

  test("after packets that may have returned nobody is blamed for sure", () => {
    const chains = ":INPUT ACCEPT [0:0]\n:guard - [0:0]";
    const rules = "-A INPUT -j guard\n-A guard -m mark --mark 0x1 -j RETURN\n-A guard -j DROP";
    expect(judged(iptables(rules, chains))).toEqual(["ok"]);
    expect(judged(iptables(`${rules}\n-A INPUT -j DROP`, chains))).toEqual([
      expect.stringMatching(/^wrong: .*-A INPUT -j DROP/),
    ]);
  });

  test("other tables are looked at, and those for addresses are not", () => {
    const saved =
      "*nat\n:PREROUTING DROP [0:0]\nCOMMIT\n*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -p udp -j DROP\nCOMMIT\n";
    expect(judged(parseIptables(saved, "iptables-legacy"))).toEqual([
      expect.stringMatching(/-> iptables-legacy -t raw -I PREROUTING -p udp --dport 50103 -j ACCEPT$/),
    ]);
  });

  test("chains that lead to each other in a circle come to an end", () => {
    expect(
      judged(iptables("-A INPUT -j a\n-A a -j b\n-A b -j a", ":INPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]")),
    ).toEqual(["ok"]);
  });

  test("nodes of one family are no concern of the other's rules", () => {
    const v6 = parseIptables("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", "ip6tables");
    expect(judged(v6)).toEqual(["ok"]);
    expect(judged(v6, { tunnels: [{ device: "eth0", port: 50103, peers: ["2001:db8::12"] }] })).toEqual([
      expect.stringContaining("-> ip6tables -I INPUT -p udp --dport 50103 -j ACCEPT"),
    ]);
  });
});

/** A table `inet strict` as nft prints it. */
function nft(
  chains: readonly object[],
  rules: readonly (readonly [chain: string, ...expr: unknown[]])[],
  sets: readonly object[] = [],
): FilterTable[] {
  const place = { family: "inet", table: "strict" };
  const entries = [
    { metainfo: { json_schema_version: 1 } },
    { table: { family: "inet", name: "strict" } },
    ...sets.map((set) => ({ set: { ...place, ...set } })),
    ...chains.map((chain) => ({ chain: { ...place, ...chain } })),
    ...rules.map(([chain, ...expr], i) => ({ rule: { ...place, chain, handle: i + 1, expr } })),
  ];
  return parseNftables(JSON.stringify({ nftables: entries }), () => false);
}

const INPUT = { name: "input", type: "filter", hook: "input", prio: 0, policy: "accept" };
const DROP = { drop: null };
const UDP_PORT = { payload: { protocol: "udp", field: "dport" } };

function match(left: object, right: unknown, op = "=="): object {
  return { match: { op, left, right } };
}

describe("nftables", () => {
  test("a policy that drops is told, with the rule that lets the packets pass", () => {
    expect(judged(nft([{ ...INPUT, policy: "drop" }], []))).toEqual([
      "wrong: chain input of nft's table inet strict drops datagrams of other nodes to UDP port 50103 on eth0 -> nft insert rule inet strict input udp dport 50103 accept",
    ]);
  });

  test.each<[string, readonly unknown[]]>([
    ["a port", [match(UDP_PORT, 50103), { counter: { packets: 0 } }, DROP]],
    ["ports from one to another", [match(UDP_PORT, { range: [50000, 50200] }), DROP]],
    ["a set of ports", [match(UDP_PORT, { set: [22, 50103] }), { reject: { type: "icmpx" } }]],
    ["a set with a name", [match(UDP_PORT, "@ports"), { log: { prefix: "x" } }, DROP]],
    [
      "a map of verdicts",
      [
        {
          vmap: {
            key: UDP_PORT,
            data: {
              set: [
                [22, { accept: null }],
                [50103, DROP],
              ],
            },
          },
        },
      ],
    ],
    ["all but a port", [match(UDP_PORT, 53, "!="), DROP]],
    ["an interface", [match({ meta: { key: "iifname" } }, "eth*"), DROP]],
    ["its protocol", [match({ payload: { protocol: "ip", field: "protocol" } }, "udp"), DROP]],
    ["a family", [match({ meta: { key: "nfproto" } }, "ipv4"), DROP]],
    [
      "a network",
      [match({ payload: { protocol: "ip", field: "saddr" } }, { prefix: { addr: "192.0.2.0", len: 24 } }), DROP],
    ],
    ["a state", [match({ ct: { key: "state" } }, ["established", "new"], "!="), DROP]],
  ])("a rule that drops by %s is told", (_, expr) => {
    const sets = [{ name: "ports", elem: [{ range: [80, 90] }, { elem: { val: 50103, counter: {} } }] }];
    expect(judged(nft([INPUT], [["input", ...expr]], sets))).toEqual([
      expect.stringContaining("(handle 1) drops datagrams of other nodes"),
    ]);
  });

  test.each<[string, readonly unknown[]]>([
    ["another port", [match(UDP_PORT, { set: [22, { range: [50104, 50200] }] }), DROP]],
    ["the other family", [match({ payload: { protocol: "ip6", field: "nexthdr" } }, "udp"), DROP]],
    ["what comes too fast", [{ limit: { rate: 1, per: "second" } }, DROP]],
    ["what it does not understand", [match({ concat: [UDP_PORT, UDP_PORT] }, { set: [{ concat: [1, 2] }] }), DROP]],
    ["a set that is not there", [match(UDP_PORT, "@gone"), DROP]],
    ["a map without its port", [{ vmap: { key: UDP_PORT, data: { set: [[22, DROP]] } } }]],
    ["nothing at all", [{ counter: { packets: 0 } }]],
    ["a statement that is new", [{ flux: {} }, DROP]],
  ])("a rule about %s is nobody's concern", (_, expr) => {
    expect(judged(nft([INPUT], [["input", ...expr]]))).toEqual(["ok"]);
  });

  test("what firewalld writes is understood", () => {
    const accept = { accept: null };
    const rules = (...allowed: readonly unknown[]) =>
      [
        ["input", match({ ct: { key: "state" } }, { set: ["established", "related"] }), accept],
        ["input", match({ ct: { key: "status" } }, "dnat", "in"), accept],
        ["input", match({ meta: { key: "iifname" } }, "lo"), accept],
        ["input", { jump: { target: "zones" } }],
        ["input", match({ ct: { key: "state" } }, "invalid", "in"), DROP],
        ["input", { reject: { type: "icmpx", expr: "admin-prohibited" } }],
        ["zones", match({ meta: { key: "iifname" } }, "eth0"), { goto: { target: "public" } }],
        ["public", match({ fib: { result: "type", flags: ["daddr"] } }, "broadcast"), DROP],
        ["public", ...allowed],
      ] as const;
    const chains = [INPUT, { name: "zones" }, { name: "public" }];
    const states = match({ ct: { key: "state" } }, { set: ["new", "untracked"] });
    expect(judged(nft(chains, rules(match(UDP_PORT, 50103), states, accept)))).toEqual(["ok"]);
    expect(judged(nft(chains, rules(match(UDP_PORT, 22), states, accept)))).toEqual([
      expect.stringMatching(/^wrong: .*\(handle 6\) drops datagrams of other nodes/),
    ]);
  });

  test("rules are followed from chain to chain", () => {
    const rules = [
      ["input", match({ meta: { key: "l4proto" } }, { set: ["tcp", "udp"] }), { jump: { target: "udp" } }],
      ["input", DROP],
      ["udp", match(UDP_PORT, 50103), { goto: { target: "nodes" } }],
      ["nodes", match({ payload: { protocol: "ip", field: "saddr" } }, "192.0.2.13"), { return: null }],
      ["nodes", { accept: null }],
    ] as const;
    const [found, ...more] = judged(nft([INPUT, { name: "udp" }, { name: "nodes" }], rules));
    expect(found).toContain("(handle 2) drops datagrams of other nodes"); // of 192.0.2.13
    expect(more).toEqual([]);
    const one = { tunnels: [{ device: "eth0", port: 50103, peers: ["192.0.2.12"] }] };
    expect(judged(nft([INPUT, { name: "udp" }, { name: "nodes" }], rules), one)).toEqual(["ok"]);
  });

  test("of tables that iptables-save tells of nothing is read", () => {
    const json = JSON.stringify({
      nftables: [
        { table: { family: "ip", name: "filter" } },
        { chain: { family: "ip", table: "filter", ...INPUT, policy: "drop" } },
      ],
    });
    expect(parseNftables(json, (family, name) => `${family} ${name}` === "ip filter")).toEqual([]);
    expect(parseNftables(json, () => false)).toHaveLength(1);
  });
});

test("filters that could not be read are said to be so", () => {
  expect(judged([], { unread: [{ program: "nft", reason: "not permitted" }] })).toEqual([
    "unseen: the rules of nft could not be read: not permitted -> sudo sapwood doctor",
  ]);
});

test("a node without workloads is told of a policy that would drop those of any", () => {
  expect(judged(iptables("", ":FORWARD DROP [0:0]"), { workloads: [] })).toEqual([
    expect.stringContaining("-> iptables -I FORWARD -o sapwood0 -j ACCEPT"),
    expect.stringContaining("-> iptables -I FORWARD -i sapwood0 -j ACCEPT"),
  ]);
});
