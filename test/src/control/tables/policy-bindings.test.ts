// Which policy an address gets: by its entry, by its prefix, or as an instance's; and what is said of mistakes.

import { describe, expect, test } from "vitest";
import { parseConfig, parseTables } from "../../../../src/control/config/config.ts";
import { refusalLines } from "../../../support/config-refusal.ts";

const NODE = "node: { id: node-a, underlay: { address: 192.0.2.11 } }\n";

/** Entries of a service's addresses, "10.30.0.1, policy: closest" for instance, one a line. */
function addressLines(entries: readonly string[]): string {
  return entries.map((entry) => `      - { address: ${entry.replace(/^[^,]*/, '"$&"')} }\n`).join("");
}

/** A file with one service of one instance, whose addresses have one line each, from line 5 on. */
function file(addresses: readonly string[], sections = ""): string {
  return `${NODE}services:
  - name: b
    addresses:
${addressLines(addresses)}    instances:
      - { number: 7, node: node-a, namespace: [10.18.3.1], addresses: [10.30.0.99] }
${sections}`;
}

function policiesOf(addresses: readonly string[], sections?: string): string[] {
  const [service] = parseConfig(file(addresses, sections), "node.yaml").tables.services;
  return service?.addresses.map(({ policy }) => policy) ?? [];
}

describe("an address without a policy", () => {
  test.each([
    ["the platform's prefix of closest", ["fdff:1000::1", "fdff:17ff:ffff::1"], "", ["closest", "closest"]],
    ["the platform's prefix of round robin", ["fdff:2000::1"], "", ["round-robin"]],
    [
      "one of its further prefixes",
      ["fdff:800::1"],
      'bindings: [{ prefix: "fdff:0800::/21", policy: random }]',
      ["random"],
    ],
    ["an IPv4 prefix", ["10.30.128.1"], "bindings: [{ prefix: 10.30.128.0/17, policy: weighted }]", ["weighted"]],
    [
      "another policy for the platform's prefix",
      ["fdff:1000::1", "fdff:2000::1"],
      'bindings: [{ prefix: "fdff:1000::/21", policy: random }]',
      ["random", "round-robin"],
    ],
    ["Oakestra's name of a policy", ["10.30.1.1"], "bindings: [{ prefix: 10.30.0.0/16, policy: RR }]", ["round-robin"]],
    [
      "the longest of nested prefixes, in whatever order they stand",
      ["10.30.1.1", "10.30.2.1", "10.30.1.200", "fdff:1000::1", "fdff:1000:1::1"],
      `bindings:
  - { prefix: 10.30.0.0/16, policy: random }
  - { prefix: 10.30.1.192/26, policy: closest }
  - { prefix: 10.30.1.0/24, policy: weighted }
  - { prefix: "fdff:1000:1::/48", policy: least-connections }
  - { prefix: "fdff::/16", policy: random }`,
      ["weighted", "random", "closest", "closest", "least-connections"],
    ],
    [
      "a policy of one's own",
      ["10.30.1.1"],
      "policies: { mine: { file: ./mine.wasm } }\nbindings: [{ prefix: 10.30.0.0/16, policy: mine }]",
      ["mine"],
    ],
  ])("gets that of its prefix: %s", (_what, addresses, sections, policies) => {
    expect(policiesOf(addresses, sections)).toEqual(policies);
  });

  test("each of the thirty free /21s of the platform's range can be bound", () => {
    const groups = Array.from({ length: 32 }, (_, i) => (i * 0x800).toString(16)).filter((g) => !/^[12]000$/.test(g));
    const bindings = groups.map((group) => `  - { prefix: "fdff:${group}::/21", policy: random }\n`).join("");
    const addresses = groups.map((group) => `fdff:${group}:1::9`);
    expect(policiesOf(addresses, `bindings:\n${bindings}`)).toEqual(Array(30).fill("random"));
  });
});

test("an entry's own policy comes before its prefix, and one service may have any number of policies", () => {
  const entries = ["closest", "RR", "random", "weighted", "least-connections", "consistent-hash", "mine"];
  const addresses = entries.map((policy, i) => `fdff:1000::${i + 1}, policy: ${policy}`);
  const sections = "policies: { mine: { file: ./mine.wasm } }";
  expect(policiesOf(addresses, sections)).toEqual(entries.map((name) => (name === "RR" ? "round-robin" : name)));
});

test("instance_ip makes an address one of the instance's", () => {
  const entries = ["10.30.0.1, policy: closest", "fdff::9, policy: instance_ip, instance: 7", "fdff:2000::1"];
  const [service] = parseConfig(file(entries), "node.yaml").tables.services;
  expect(service?.addresses).toEqual([
    { address: "10.30.0.1", policy: "closest" },
    { address: "fdff:2000::1", policy: "round-robin" },
  ]);
  expect(service?.instances[0]?.instanceAddresses).toEqual(["10.30.0.99", "fdff::9"]);
});

test("an instance may have all its addresses by entries", () => {
  const text = file(["10.30.0.3, policy: instance_ip, instance: 7"]).replace(", addresses: [10.30.0.99]", "");
  const [service] = parseConfig(text, "node.yaml").tables.services;
  expect(service?.instances[0]?.instanceAddresses).toEqual(["10.30.0.3"]);
});

test("tables alone follow the bindings given, or the default ones", () => {
  const text = file(["fdff:1000::1"]).replace(NODE, "");
  const policy = (options?: Parameters<typeof parseTables>[2]) =>
    parseTables(text, "tables", options).services[0]?.addresses[0]?.policy;
  expect(policy()).toBe("closest");
  const { bindings } = parseConfig(`${NODE}bindings: [{ prefix: "fdff:1000::/20", policy: random }]`, "node.yaml");
  expect(policy({ bindings })).toBe("closest"); // the default's /21 is longer
  expect(policy({ bindings: bindings.slice(0, 1) })).toBe("random");
  expect(() => parseTables(text.replace("fdff:1000::1", "fdff::1"), "tables")).toThrow(
    "tables:4:9: services[0].addresses[0].policy: expected a policy",
  );
});

describe("a mistake is named with line, field, what was expected and what was found", () => {
  const known = "client-affinity, closest, consistent-hash, least-connections, random, round-robin, weighted";
  test.each([
    [
      file(["10.30.0.1"]),
      "5: services[0].addresses[0].policy: expected a policy, as none is bound to a prefix of 10.30.0.1 (fdff:1000::/21, fdff:2000::/21 are), found nothing",
    ],
    [
      file(["10.30.0.1, policy: instance_ip"]),
      "5: services[0].addresses[0].instance: expected the number of an instance of this service (7), found nothing",
    ],
    [
      file(["fdff:1000::1", "10.30.0.1, policy: instance_ip, instance: 8"]),
      "6: services[0].addresses[1].instance: expected the number of an instance of this service (7), found 8",
    ],
    [
      file(["10.30.0.1, policy: closest, instance: 7"]),
      "5: services[0].addresses[0].instance: expected no instance beside a policy other than instance_ip, found 7",
    ],
    // Entries that become something else do not shift the names of the others.
    [
      file(["fdff::9, policy: instance_ip, instance: 7", "192.0.2.1, policy: closest"]),
      "6: services[0].addresses[1].address: expected an address within 10.30.0.0/16, fdff::/16, found 192.0.2.1",
    ],
    [
      file(["192.0.2.1, policy: instance_ip, instance: 7"]),
      "5: services[0].addresses[0].address: expected an address within 10.30.0.0/16, fdff::/16, found 192.0.2.1",
    ],
    [file(["fdff:1000::1, policy: mine"]), `5: services[0].addresses[0].policy: expected one of ${known}, found mine`],
    [
      `${NODE}bindings: [{ prefix: 10.30.1.0/24, policy: closets }]`,
      `2: bindings[0].policy: expected one of ${known}, found closets (did you mean closest?)`,
    ],
    [
      `${NODE}bindings: [{ prefix: 10.30.1.0/24, policy: instance_ip }]`,
      "2: bindings[0].policy: expected the name of a policy, found instance_ip",
    ],
    [
      `${NODE}bindings: [{ prefix: 10.30.1.1/24, policy: closest }]`,
      '2: bindings[0].prefix: expected a prefix without host bits (10.30.1.0/24), found "10.30.1.1/24"',
    ],
    [
      `${NODE}bindings: [{ prefix: 10.31.0.0/24, policy: closest }]`,
      "2: bindings[0].prefix: expected a prefix that has addresses of 10.30.0.0/16, fdff::/16, found 10.31.0.0/24",
    ],
    [
      `${NODE}bindings:\n  - { prefix: 10.30.1.0/24, policy: closest }\n  - { prefix: 10.30.1.0/24, policy: random }`,
      "4: bindings[1].prefix: expected a prefix other than that of bindings[0], found 10.30.1.0/24",
    ],
    [`${NODE}policies: { mine: {} }`, "2: policies.mine.file: expected text, found nothing"],
    [`${NODE}policies: [a]`, "2: policies: expected names of policies, each with its file, found a list"],
    [
      `${NODE}policies: { My_Policy: { file: a.wasm } }`,
      "2: policies.My_Policy: expected a name of up to 63 bytes: letters that are no capitals, digits and -, the first one a letter, found My_Policy",
    ],
    [
      `${NODE}policyLimits: { time: 0s }`,
      "2: policyLimits.time: expected a duration like 400ms, 30s, 5m or 24h, from 1ms to 10000ms, found 0s",
    ],
    [
      `${NODE}policyLimits: { memory: 16MB }`,
      "2: policyLimits.memory: expected a size like 512KiB or 16MiB, from 64KiB to 1024MiB, found 16MB",
    ],
  ])("%j", (text, line) => {
    expect(refusalLines(text)).toContain(line);
  });
});

test("modules and limits of policies have their defaults and their own names", () => {
  expect(parseConfig(NODE, "node.yaml")).toMatchObject({
    policies: {},
    policyLimits: { time: 50, memory: 16 * 2 ** 20 },
  });
  const sections = "policies: { closest: { file: ./closest.wasm } }\npolicyLimits: { time: 20ms, memory: 512KiB }\n";
  expect(parseConfig(NODE + sections, "node.yaml")).toMatchObject({
    policies: { closest: { file: "./closest.wasm" } },
    policyLimits: { time: 20, memory: 2 ** 19 },
  });
});
