// Texts that are made to use up the stack, the memory or the time of whoever reads them. Each is refused with one
// sentence and a line, and the cost grows with the text's length alone: at these sizes anything else would take minutes.

import { describe, expect, test } from "vitest";
import { SapwoodError } from "../../../../src/base/errors.ts";
import { parseTables, parseTablesPatch } from "../../../../src/control/config/config.ts";
import { checkJsonNesting, countFields, NESTING_MAX } from "../../../../src/control/config/nesting.ts";
import { ALIASED_VALUES_MAX } from "../../../../src/control/config/yaml-text.ts";
import { policyName } from "../../../../src/model/policy-names.ts";

/** The message of the refusal; anything else that is thrown fails the test. */
function refusal(text: string, parse: (text: string) => unknown = (given) => parseTables(given, "tables")): string {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof SapwoodError && error.code === "config-invalid") return error.message;
    throw error;
  }
  throw new Error("was accepted");
}

const LEVELS = 50_000; // a call for each would use up the stack ten times over
const TOO_DEEP = `expected at most ${NESTING_MAX} levels, found more`;

describe("depth", () => {
  test.each([
    ["lists", "[".repeat(LEVELS)],
    ["lists behind a key", `services: ${"[".repeat(LEVELS)}`],
    ["fields in YAML's flow style", "{a: ".repeat(LEVELS)],
    ["JSON", `{"a":${"[".repeat(LEVELS)}${"]".repeat(LEVELS)}}`],
    ["JSON fields", '{"a":'.repeat(LEVELS)],
    ["JSON behind texts that look like its end", `{"]]]\\"]":${'["]]",'.repeat(LEVELS)}`],
    ["YAML behind texts that look like its end", `services: ${'["]]", '.repeat(LEVELS)}`],
    ["items on one line", "- ".repeat(LEVELS)],
    ["keys on one line", "? ".repeat(LEVELS)],
    ["fields line by line", Array.from({ length: 3000 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")],
    ["anchors on the way", "&a [".repeat(LEVELS)],
    ["tags on the way", "!!seq [".repeat(LEVELS)],
  ])("%s: is refused before anything is built", (_, text) => {
    expect(refusal(text)).toContain(TOO_DEEP);
    expect(refusal(text, (given) => parseTablesPatch(given, "patch", { bindings: [] }))).toContain(TOO_DEEP);
  });

  test("names the line", () => {
    expect(refusal(`nodes: []\nservices:\n  ${"[".repeat(100)}`)).toMatch(new RegExp(`^tables:3:\\d+: ${TOO_DEEP}$`));
    expect(refusal(`{"nodes":\n[],\n"services":${"[".repeat(100)}}`)).toMatch(
      new RegExp(`^tables:3:\\d+: ${TOO_DEEP}$`),
    );
  });

  test("as many brackets in a text are no depth", () => {
    const text = "[{".repeat(LEVELS);
    for (const given of [`{"nodes": "${text}"}`, `nodes: "${text}"`, `nodes: # ${text}\n  x`]) {
      expect(refusal(given)).toMatch(/^tables:1:\d+: nodes: expected a list, found /);
    }
  });
});

describe("aliases", () => {
  const bomb = (levels: number): string =>
    ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
      .concat(
        Array.from({ length: levels }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(", ")}]`),
      )
      .join("\n");

  test("of aliases are refused before they explode", () => {
    expect(refusal(bomb(20))).toMatch(
      new RegExp(`^tables:\\d+:\\d+: expected aliases of at most ${ALIASED_VALUES_MAX} values`),
    );
  });

  test("share parts as before, at one step each", () => {
    const aliases = Array.from({ length: 20_000 }, (_, i) => `  - { name: s${i}, instances: *none }`);
    const tables = parseTables(`services:\n  - { name: first, instances: &none [] }\n${aliases.join("\n")}`, "tables");
    expect(tables.services).toHaveLength(20_001);
  });

  test.each([
    ["that has no anchor", "nodes: *nobody", "tables:1:8: expected an anchor &nobody before its alias, found none"],
    [
      "of what it stands in",
      "nodes: &self [*self]",
      "tables:1:15: expected an anchor &self before its alias, found none",
    ],
    [
      "in the place of a name",
      "? *a\n: 1",
      "tables:1:3: expected the name of a field, found a list, fields or an alias",
    ],
  ])("an alias %s is refused", (_, text, message) => {
    expect(refusal(text)).toBe(message);
  });

  test("a merge key is a field like any other", () => {
    expect(refusal("nodes: []\n<<: { services: [] }")).toContain("tables:2:1: <<: expected one of nodes, services");
  });
});

describe("very many and very long keys", () => {
  const COUNT = 50_000;

  test.each([
    ["in YAML", (count: number) => Array.from({ length: count }, (_, i) => `k${i}: 1`).join("\n")],
    ["in flow style", (count: number) => `{${Array.from({ length: count }, (_, i) => `k${i}: 1`).join(", ")}}`],
    [
      "in JSON",
      (count: number) => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1]))),
    ],
  ])("%s: the first are named, the others counted", (_, keys) => {
    const lines = refusal(keys(COUNT)).split("\n");
    expect(lines).toHaveLength(101);
    expect(lines.at(-1)).toBe(`and ${COUNT - 100} more`);
  });

  test("mistakes in as many services are named by line", () => {
    const services = Array.from({ length: 20_000 }, (_, i) => `  - { name: s${i}, adresses: [] }`).join("\n");
    const lines = refusal(`services:\n${services}`).split("\n");
    expect(lines[99]).toContain("tables:101:18: services[99].adresses: expected one of");
    expect(lines.at(-1)).toBe("and 19900 more");
  });

  test("addresses of as many instances are told apart in one step each", () => {
    const instances = Array.from({ length: 10_000 }, (_, number) => ({ number, node: "a", namespace: ["10.1.0.1"] }));
    const addresses = instances.map(({ number }) => ({
      address: "10.30.0.1",
      policy: "instance_ip",
      instance: number,
    }));
    const text = (offset: number): string =>
      JSON.stringify({
        services: [
          { name: "s", instances, addresses: addresses.map((one) => ({ ...one, instance: one.instance + offset })) },
        ],
      });
    expect(parseTables(text(0), "tables").services[0]?.instances.at(-1)?.instanceAddresses).toEqual(["10.30.0.1"]);
    const message = refusal(text(10_000));
    expect(message).toContain("and 9980 more");
    expect(message.length).toBeLessThan(50_000);
  });

  test.each(["key", "value"])("a %s of megabytes is not repeated", (what) => {
    const long = "x".repeat(4_000_000);
    for (const text of [
      what === "key" ? `${long}: 1` : `nodes: ${long}`,
      `{"${what === "key" ? long : "nodes"}": "${long}"}`,
    ]) {
      expect(refusal(text).length).toBeLessThan(500);
    }
  });

  test("a field that is there twice is refused", () => {
    expect(refusal("nodes: []\nnodes: []")).toBe("tables:2:1: expected each field once, found nodes twice");
    expect(refusal('{ "nodes": [],\n "nodes": [] }')).toBe("tables:2:2: expected each field once, found nodes twice");
    const within = '{"nodes": [{"id": "a:b", "underlay": {"address": "192.0.2.1"}, "\\u0069d": "c"}]}';
    expect(refusal(within)).toBe("tables:1:64: expected each field once, found id twice");
  });

  test("a colon or a quote within a text of JSON is no field", () => {
    const value = { 'a":b\\': [1, ":", { "": '"c":', d: {} }], e: "\\" };
    const refuse = (expected: string) => new Error(expected);
    expect(checkJsonNesting(JSON.stringify(value, undefined, 1), refuse)).toBe(4);
    expect(countFields(value)).toBe(4);
  });

  test("only one document is read", () => {
    expect(refusal("nodes: []\n---\n".repeat(100_000))).toBe(
      "tables:2:1: expected one document, found another one after it",
    );
  });
});

test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"])(
  "the name %s is a name like any other",
  (name) => {
    expect(policyName(name)).toBe(name);
    for (const text of [`{"${name}": {"services": []}}`, `${name}: { services: [] }`]) {
      expect(refusal(text)).toMatch(
        new RegExp(`^tables:1:[12]: ${name}: expected one of nodes, services, allowEmpty, found ${name}`),
      );
    }
    const addressed = `services: [{ name: s, addresses: [{ address: 10.30.0.1, policy: ${name} }] }]`;
    expect(parseTables(addressed, "tables").services[0]?.addresses[0]?.policy).toBe(name);
  },
);
