// The config file: what it means, and what is said about each mistake.

import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadConfig, parseConfig, parseTables, parseTablesPatch } from "../../../../src/control/config/config.ts";
import { DEFAULT_BINDINGS } from "../../../../src/control/tables/policy-bindings.ts";
import { BUILT_IN_POLICIES } from "../../../../src/model/policy-names.ts";
import { refusalLines } from "../../../support/config-refusal.ts";

const MINIMAL = "node: { id: node-a, underlay: { address: 192.0.2.11 } }\n";

const SERVICES = `
nodes:
  - id: node-b
    underlay: { address: 192.0.2.12, port: 50104 }
    location: { latitude: 48.26, longitude: 11.67 }
services:
  - name: b.demo
    addresses:
      - { address: 10.30.0.1, policy: Closest }
      - { address: "FDFF:2000::1", policy: RR }
    instances:
      - number: 1
        node: node-b
        namespace: [10.18.3.1, "fc00::18:3:1"]
        addresses: [10.30.0.3, "fdff:0::3"]
      - { number: 2, node: node-a, namespace: [10.18.3.2], addresses: [10.30.0.4], weight: 5, draining: true }
`;

const TABLES = {
  nodes: [
    {
      id: "node-b",
      underlay: { address: "192.0.2.12", port: 50104 },
      location: { latitude: 48.26, longitude: 11.67 },
    },
  ],
  services: [
    {
      name: "b.demo",
      addresses: [
        { address: "10.30.0.1", policy: "closest" },
        { address: "fdff:2000::1", policy: "round-robin" },
      ],
      instances: [
        {
          number: 1,
          node: "node-b",
          namespaceAddresses: ["10.18.3.1", "fc00::18:3:1"],
          instanceAddresses: ["10.30.0.3", "fdff::3"],
          weight: 1,
          draining: false,
        },
        {
          number: 2,
          node: "node-a",
          namespaceAddresses: ["10.18.3.2"],
          instanceAddresses: ["10.30.0.4"],
          weight: 5,
          draining: true,
        },
      ],
    },
  ],
};

describe("a config file", () => {
  test("needs the own node only", () => {
    expect(parseConfig(MINIMAL, "node.yaml")).toMatchObject({
      node: { id: "node-a", underlay: { address: "192.0.2.11", port: 50103, bind: "192.0.2.11" } },
      tun: { name: "sapwood0", mtu: "auto", queues: "auto" },
      ranges: [{ text: "10.30.0.0/16" }, { text: "fdff::/16" }],
      flows: { limit: 262_144, timeouts: { udpUnreplied: 120_000, tcpEstablished: 86_400_000 } },
      capacities: { addresses: 65_536, instances: 65_536, workloads: 4_096, nodes: 1_024 },
      probe: { interval: 400 },
      offloads: { tunTcp: true, tunUdp: true, udpGso: true, udpGro: true },
      control: { socket: "/run/sapwood/sapwood.sock" },
      log: { level: "info" },
      tables: { nodes: [], services: [] },
    });
  });

  test("has every setting under its own name", () => {
    const text = `
node: { id: n1, underlay: { address: "2001:DB8::1", port: 1, bind: "2001:db8::2" }, location: { latitude: -1, longitude: 180 } }
tun: { name: t, mtu: 9000, queues: 4 }
ranges: [10.40.0.0/16]
unknown: { ask: true, timeout: 5s, packets: 6, bytes: 128KiB }
flows: { limit: 1000, timeouts: { udpUnreplied: 1s, udpStream: 2m, tcpOpening: 3h, tcpEstablished: 4ms, tcpHalfClosed: 5s, tcpClosed: 6s, icmpQuery: 7s, otherUnreplied: 8s, otherStream: 9s } }
tables: { addresses: 1, instances: 2, workloads: 3, nodes: 4 }
probe: { interval: 0 }
offloads: { tunTcp: false, tunUdp: false, udpGso: false, udpGro: false }
control: { socket: /tmp/s }
log: { level: debug }
`;
    expect(parseConfig(text, "node.yaml")).toMatchObject({
      node: {
        id: "n1",
        underlay: { address: "2001:db8::1", port: 1, bind: "2001:db8::2" },
        location: { latitude: -1, longitude: 180 },
      },
      tun: { name: "t", mtu: 9000, queues: 4 },
      ranges: [{ text: "10.40.0.0/16" }],
      flows: {
        limit: 1000,
        timeouts: {
          udpUnreplied: 1_000,
          udpStream: 120_000,
          tcpOpening: 10_800_000,
          tcpEstablished: 4,
          tcpHalfClosed: 5_000,
          tcpClosed: 6_000,
          icmpQuery: 7_000,
          otherUnreplied: 8_000,
          otherStream: 9_000,
        },
      },
      capacities: { addresses: 1, instances: 2, workloads: 3, nodes: 4 },
      unknown: { ask: true, timeout: 5_000, packets: 6, bytes: 131_072 },
      probe: { interval: 0 },
      offloads: { tunTcp: false, tunUdp: false, udpGso: false, udpGro: false },
      control: { socket: "/tmp/s" },
      log: { level: "debug" },
    });
  });

  test("has addresses in canonical form and policies under their own names", () => {
    expect(parseConfig(MINIMAL + SERVICES, "node.yaml").tables).toEqual(TABLES);
  });

  test("may share parts by anchors", () => {
    const text = `${MINIMAL}nodes:\n  - { id: b, underlay: { address: 192.0.2.1 }, location: &here { latitude: 1, longitude: 2 } }
  - { id: c, underlay: { address: 192.0.2.2 }, location: *here }\n`;
    expect(parseConfig(text, "node.yaml").tables.nodes[1]?.location).toEqual({ latitude: 1, longitude: 2 });
  });

  test("that cannot be read is named", () => {
    expect(() => loadConfig("/nonexistent/node.yaml")).toThrow(
      "/nonexistent/node.yaml cannot be read: there is no such file (ENOENT)",
    );
  });
});

test("tables alone are nodes and services, as YAML or JSON", () => {
  expect(parseTables(SERVICES, "services.yaml")).toEqual(TABLES);
  expect(parseTables(JSON.stringify({ nodes: TABLES.nodes }), "body")).toEqual({ nodes: TABLES.nodes, services: [] });
  expect(() => parseTables(`${MINIMAL}services: []`, "services.yaml")).toThrow(
    "services.yaml:1:1: node: expected one of nodes, services, allowEmpty, found node",
  );
});

test("JSON that breaks the schema is refused with its line, as YAML is", () => {
  const json = JSON.stringify({ services: [{ name: "b" }, { name: 5 }] }, undefined, 1);
  const line = json.split("\n").findIndex((text) => text.includes("5")) + 1;
  expect(() => parseTables(json, "body")).toThrow(
    `body:${line}:4: services[1].name: expected text, found the number 5`,
  );
  expect(() => parseTables(json.slice(0, -1), "body")).toThrow(/^body:\d+:\d+: /);
});

test("a patch names what to set and what to remove; an address may leave its policy to its prefix", () => {
  const text = "services: [{ name: b, addresses: [{ address: fdff:2000::1 }] }]\nremove: { services: [c] }";
  expect(parseTablesPatch(text, "patch", { bindings: DEFAULT_BINDINGS })).toEqual({
    nodes: [],
    services: [{ name: "b", addresses: [{ address: "fdff:2000::1", policy: "round-robin" }], instances: [] }],
    remove: { nodes: [], services: ["c"] },
    keepsSome: true,
  });
  expect(() => parseTablesPatch("remove: [c]", "patch", { bindings: DEFAULT_BINDINGS })).toThrow(
    "patch:1:1: remove: expected fields",
  );
  expect(() =>
    parseTablesPatch("services: [{ name: b, addresses: [{ address: fdff::1 }] }]", "patch", { bindings: [] }),
  ).toThrow("patch:1:35: services[0].addresses[0].policy");
});

describe("a mistake is named with line, field, what was expected and what was found", () => {
  test.each([
    ["node: {}", "1: node.id: expected text, found nothing"],
    ["", "1: expected fields (node, tun, "],
    ["- 1", "1: expected fields (node, tun, "],
    [`${MINIMAL}nodes: [`, "2: expected a closing ], found the end of the text"],
    [`${MINIMAL}tun: *none`, "2: expected an anchor &none before its alias, found none"],
    [`${MINIMAL}tun: { mtu: 900 }`, "2: tun.mtu: expected auto or an MTU from 1280 to 65535, found the number 900"],
    [`${MINIMAL}tun: { mtu: big }`, "2: tun.mtu: expected auto or an MTU from 1280 to 65535, found big"],
    [
      `${MINIMAL}tun:\n  queue: 2`,
      "3: tun.queue: expected one of name, mtu, queues, persist, keep, found queue (did you mean queues?)",
    ],
    ...["a b", "größe-größe-gr", "sap%d", "a\u200bb", "lo"].map((name): [string, string] => [
      `${MINIMAL}tun: { name: "${name}" }`,
      "2: tun.name: expected an interface name of 1 to 15 bytes without spaces, /, : and %",
    ]),
    [
      `${MINIMAL}ranges: [10.30.0.1/16]`,
      '2: ranges[0]: expected a prefix without host bits (10.30.0.0/16), found "10.30.0.1/16"',
    ],
    [`${MINIMAL}ranges: []`, "2: ranges: expected at least one range, found an empty list"],
    [
      `${MINIMAL}probe: { interval: 400 }`,
      "2: probe.interval: expected a duration like 400ms, 30s, 5m or 24h, from 10ms to 3600000ms, or 0 for never, found the number 400",
    ],
    [`${MINIMAL}latency: high`, "2: latency: expected normal or low, found high"],
    [
      `${MINIMAL}log: { level: loud }`,
      "2: log.level: expected one of trace, debug, info, warn, error, silent, found loud",
    ],
    [`${MINIMAL}offloads: { udpGro: 1 }`, "2: offloads.udpGro: expected true or false, found the number 1"],
    [
      "node: { id: node-a, underlay: { address: 192.0.2.256 } }",
      "1: node.underlay.address: expected an IPv4 or IPv6 address, found 192.0.2.256",
    ],
    [
      "node: { id: node-a, underlay: { address: 10.30.1.1 } }",
      "1: node.underlay.address: expected an address outside the range 10.30.0.0/16, found 10.30.1.1",
    ],
    ...(
      [
        ["224.0.0.9", "multicast"],
        ["ff02::1", "multicast"],
        ["127.0.0.1", "loopback"],
        ["::1", "loopback"],
        ["::ffff:127.0.0.1", "loopback"],
        ["0.0.0.0", "unspecified"],
        ["::", "unspecified"],
        ["255.255.255.255", "reserved"],
        ["fe80::1", "link-local"],
      ] as const
    ).flatMap(([written, range]): [string, string][] => {
      const found = written === "::ffff:127.0.0.1" ? "127.0.0.1" : written;
      return [
        [
          `node: { id: node-a, underlay: { address: "${written}" } }`,
          `1: node.underlay.address: expected an address at which other nodes reach this one, found the ${range} address ${found}`,
        ],
        [
          `${MINIMAL}nodes:\n  - { id: b, underlay: { address: "${written}" } }`,
          `3: nodes[0].underlay.address: expected an address of a host, found the ${range} address ${found}`,
        ],
        ...(range === "unspecified"
          ? []
          : ([
              [
                `node: { id: node-a, underlay: { address: 192.0.2.11, bind: "${written}" } }`,
                `1: node.underlay.bind: expected an address of this machine, :: or 0.0.0.0, found the ${range} address ${found}`,
              ],
            ] as [string, string][])),
      ];
    }),
    [
      `${MINIMAL}nodes:\n  - { id: b, underlay: { address: 192.0.2.11 } }`,
      "3: nodes[0].underlay.address: expected another address and port than those of this node, found 192.0.2.11 and port 50103",
    ],
    [
      `${MINIMAL}nodes:\n  - { id: b, underlay: { address: "::ffff:192.0.2.11" } }`,
      "3: nodes[0].underlay.address: expected another address and port than those of this node, found 192.0.2.11 and port 50103",
    ],
    [
      `node: { id: a, underlay: { address: 203.0.113.1, bind: 192.0.2.11 } }\nnodes:\n  - { id: b, underlay: { address: 192.0.2.11 } }`,
      "3: nodes[0].underlay.address: expected another address and port than those of this node, found 192.0.2.11 and port 50103",
    ],
    [
      `${MINIMAL}nodes:\n  - { id: b, underlay: { address: 192.0.2.12 } }\n  - { id: c, underlay: { address: 192.0.2.12 } }`,
      "4: nodes[1].underlay.address: expected another address and port than those of b, found 192.0.2.12",
    ],
    [
      `${MINIMAL}nodes:\n  - { id: b, underlay: { address: 192.0.2.12, port: 0 } }`,
      "3: nodes[0].underlay.port: expected a port from 1 to 65535, found the number 0",
    ],
    [
      `${MINIMAL}nodes:\n  - { id: b, underlay: { address: "2001:db8::2" } }`,
      "3: nodes[0].underlay.address: expected an IPv4 address, as this node's socket is bound to 192.0.2.11 (node.underlay.bind), found 2001:db8::2",
    ],
    [
      `node: { id: a, underlay: { address: 192.0.2.11, bind: 0.0.0.0 } }\nnodes:\n  - { id: b, underlay: { address: "2001:db8::2" } }`,
      "3: nodes[0].underlay.address: expected an IPv4 address, as this node's socket is bound to 0.0.0.0 (node.underlay.bind), found 2001:db8::2",
    ],
    [
      `node: { id: a, underlay: { address: 192.0.2.11, bind: "2001:db8::1" } }`,
      "1: node.underlay.bind: expected an IPv4 address or ::, as underlay.address is 192.0.2.11, found 2001:db8::1",
    ],
    [
      `${MINIMAL}tables: { instances: 1 }${SERVICES}`,
      "2: tables.instances: expected at least 2, which this file itself needs, found 1",
    ],
    [
      MINIMAL + SERVICES.replace("node: node-b", "node: node-x"),
      "14: services[0].instances[0].node: expected the id of this node or of one under nodes, found node-x (did you mean node-a?)",
    ],
    [
      MINIMAL + SERVICES.replace("10.18.3.1,", "10.18.3.2,"),
      "17: services[0].instances[1].namespace[0]: expected an address that is not in use (b.demo has it), found 10.18.3.2",
    ],
    [
      MINIMAL + SERVICES.replace("policy: RR", "policy: round-robn"),
      "11: services[0].addresses[1].policy: expected one of client-affinity, closest, consistent-hash, least-connections, random, round-robin, weighted, found round-robn (did you mean round-robin?)",
    ],
  ])("%j", (text, line) => {
    expect(refusalLines(text)[0]).toContain(line);
  });

  test("all mistakes of a file are named at once, in the order of their lines", () => {
    const text = `${MINIMAL}tun: { mtu: 1 }\nflow: {}\nprobe: { interval: never }\nservices:\n  - { name: x, colour: red }\n`;
    expect(refusalLines(text).map((line) => line.split(": ").slice(0, 2).join(": "))).toEqual([
      "2: tun.mtu",
      "3: flow",
      "4: probe.interval",
      "6: services[0].colour",
    ]);
  });

  test("a million mistakes are not a million lines", () => {
    const lines = refusalLines(`${MINIMAL}nodes: [${"x, ".repeat(1000)}x]`);
    expect(lines).toHaveLength(101);
    expect(lines.at(-1)).toBe("and 901 more");
  });
});

test("every policy module of the package may be named", () => {
  const modules = readdirSync(new URL("../../../../assembly/policy", import.meta.url))
    .filter((file) => file !== "sdk.ts")
    .map((file) => file.replace(/\.ts$/, ""));
  expect([...BUILT_IN_POLICIES].sort()).toEqual(modules.sort());
});

describe("of what is in force", () => {
  const inForce = parseTables("services: [{ name: a }, { name: b }]", "tables");

  test("a section that a text does not name stays", () => {
    expect(parseTables("{}", "tables", { inForce }).services).toEqual(inForce.services);
    expect(parseConfig(MINIMAL, "node.yaml", { inForce: () => inForce }).tables.services).toEqual(inForce.services);
  });

  const ADDRESS = "{ address: 10.30.0.1, policy: closest }";
  const INSTANCE = "{ number: 1, node: node-a, namespace: [10.18.3.1], addresses: [10.30.0.3] }";
  const SERVICE = `name: a, addresses: [${ADDRESS}], instances: [${INSTANCE}]`;
  const NODE = "{ id: node-b, underlay: { address: 192.0.2.12 } }";
  const whole = parseTables(`{ nodes: [${NODE}], services: [{ ${SERVICE} }] }`, "tables");

  test.each([
    ["service", "services: []"],
    ["node", "nodes: []"],
    ["service address", `services: [{ name: a, instances: [${INSTANCE}] }]`],
    ["instance", `services: [{ name: a, addresses: [${ADDRESS}] }]`],
  ])("the last %s goes only if that is said", (one, text) => {
    const refused = `expected at least one ${one}, as there are 1 in force, or allowEmpty: true; found none`;
    const config = `${MINIMAL}${text}\n`;
    const options = { inForce: () => whole };
    expect(() => parseTables(text, "tables", { inForce: whole })).toThrowError(refused);
    expect(() => parseConfig(config, "node.yaml", options)).toThrowError(refused);
    expect(parseTables(text, "tables", { inForce: whole, allowEmpty: true })).not.toEqual(whole);
    expect(parseTables(`${text}\nallowEmpty: true`, "tables", { inForce: whole })).not.toEqual(whole);
    expect(parseConfig(`${config}allowEmpty: true\n`, "node.yaml", options).tables).not.toEqual(whole);
  });

  test("what was empty may stay so", () => {
    const inForce = parseTables("services: [{ name: a }]", "tables");
    expect(parseTables("{ nodes: [], services: [{ name: a }] }", "tables", { inForce })).toEqual(inForce);
  });
});
