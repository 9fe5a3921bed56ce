// Long texts, whose services are read byte by byte, against the reader of short ones: what is read is the same, and what
// is wrong is told in the same words.

import { describe, expect, test } from "vitest";
import { SapwoodError } from "../../../../src/base/errors.ts";
import { FrameReader } from "../../../../src/base/frame-reader.ts";
import { ConfigDocument } from "../../../../src/control/config/config-document.ts";
import { HeldText, writeWhole } from "../../../../src/control/config/held-text.ts";
import { originsOf } from "../../../../src/control/config/known-services.ts";
import { parseDocument } from "../../../../src/control/config/parse-text.ts";
import { FrameKind, keptIndex, kindOf, serviceOf } from "../../../../src/control/config/service-frame.ts";
import { findServices } from "../../../../src/control/config/services-text.ts";
import { type TextRequest, tablesOf } from "../../../../src/control/config/text-contract.ts";
import { checkedBy } from "../../../../src/control/tables/table-validation.ts";
import type { Service } from "../../../../src/model/tables.ts";
import { parsePrefix } from "../../../../src/net/address.ts";
import { Random } from "../../../support/random.ts";

const RANGES = ["10.30.0.0/16", "fdff::/16"];
const RULES = { nodeId: "node-a", ranges: RANGES.map(parsePrefix) };
const TABLES: TextRequest = { kind: "tables", name: "text", options: { rules: RULES } };
const REQUESTS: readonly TextRequest[] = [
  TABLES,
  { kind: "tables", name: "text", options: {} },
  { kind: "patch", name: "text", options: {} },
];
const NODES = [{ id: "node-b", underlay: { address: "192.0.2.2" } }];

interface Outcome {
  readonly rest?: unknown;
  readonly services?: readonly unknown[];
  readonly isChecked?: boolean;
  readonly refusal?: readonly unknown[];
}

/** What is made of the frames that a process hands on, in parts of any length. */
class Taken {
  services: Service[] = [];
  kept: number[] = [];
  readonly #random = new Random(3);
  readonly #frames = new FrameReader((frame) => {
    const kind = kindOf(frame);
    if (kind === FrameKind.restart) this.services = [];
    else if (kind === FrameKind.kept) this.kept.push(keptIndex(frame));
    else this.services.push(serviceOf(frame));
  });

  take(part: Uint8Array): void {
    const bytes = Buffer.from(part); // the writer uses its own again
    for (let from = 0; from < bytes.length; ) {
      const to = from + 1 + this.#random.below(2000);
      this.#frames.take(bytes.subarray(from, to));
      from = to;
    }
  }
}

function orRefusal(read: () => Outcome): Outcome {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SapwoodError)) throw error;
    return { refusal: [error.code, error.message, error.details] };
  }
}

/** What the process for long texts hands on, and its answer. */
function heldOutcome(text: string, request: TextRequest): Outcome {
  return orRefusal(() => {
    const taken = new Taken();
    const held = new HeldText(Buffer.from(text), (bytes) => new TextDecoder().decode(bytes));
    const value = held.read(request, [], (part) => taken.take(part));
    const services = taken.services.map((one) => ({ ...one }));
    return { rest: tablesOf(value)?.nodes, services, isChecked: isMarked(value) };
  });
}

function shortOutcome(text: string, request: TextRequest): Outcome {
  return orRefusal(() => {
    const value = parseDocument(new ConfigDocument(text, request.name), request);
    const tables = tablesOf(value);
    const taken = new Taken();
    writeWhole(tables?.services ?? [], (part) => taken.take(part));
    return { rest: tables?.nodes, services: taken.services.map((one) => ({ ...one })), isChecked: isMarked(value) };
  });
}

function isMarked(value: Parameters<typeof tablesOf>[0]): boolean {
  const tables = tablesOf(value);
  return tables !== undefined && checkedBy(tables) !== undefined;
}

function service(index: number, more: object = {}): object {
  return {
    name: `service-${index}`,
    addresses: [{ address: `fdff:2000::${(index + 1).toString(16)}` }],
    instances: [instance(index)],
    ...more,
  };
}

function instance(index: number, more: object = {}): object {
  return {
    ...{ number: 1, node: "node-b", weight: 2 },
    namespace: [`10.18.0.${index + 1}`],
    addresses: [`10.30.1.${index + 1}`],
    ...more,
  };
}

function textOf(services: readonly unknown[], more: object = {}): string {
  return JSON.stringify({ nodes: NODES, services, ...more });
}

describe.each(REQUESTS)("a text read as $kind", (request) => {
  test.each<[string, string]>([
    ["plain services", textOf([service(0), service(1), service(2)])],
    ["no service", textOf([], { allowEmpty: true })],
    ["white space", JSON.stringify(JSON.parse(textOf([service(0), service(1)])), undefined, "\t \r\n ")],
    ["instances before the name", textOf([{ instances: [instance(0)], addresses: [], name: "a" }])],
    ["addresses in other forms", textOf([service(0, { addresses: [{ address: "FDFF:2000:0::0001", policy: "RR" }] })])],
    ["names of any script", textOf([service(0, { name: "größe" }), service(1, { name: 'a"b\\c' })])],
    [
      "an instance address",
      textOf([service(0, { addresses: [{ address: "fdff::9", policy: "instance_ip", instance: 1 }] })]),
    ],
    ["health checks", textOf([service(0, { health: { tcp: 80 } }), service(1)])],
    ["numbers of other forms", textOf([service(0), service(1)]).replace('"weight":2', '"weight":2e0')],
    ["fields without a place", textOf([service(0, { wieght: 3 })])],
    ["no name", textOf([service(0), { instances: [] }])],
    ["one name twice", textOf([service(0), service(1, { name: "service-0" })])],
    ["one field twice", textOf([service(0)]).replace('"weight":2', '"weight":2,"weight":3')],
    ["the services twice", `{"services": [], "services": ${JSON.stringify([service(0)])}}`],
    ["one address twice", textOf([service(0), service(1, { addresses: [{ address: "fdff:2000::1" }] })])],
    ["one namespace address twice", textOf([service(0), service(1, { instances: [instance(0)] })])],
    ["one instance number twice", textOf([service(0, { instances: [instance(0), instance(3)] })])],
    ["an unknown node", textOf([service(0, { instances: [instance(0, { node: "node-x" })] })])],
    ["an unknown policy", textOf([service(0, { addresses: [{ address: "fdff::9", policy: "best" }] })])],
    ["no policy", textOf([service(0, { addresses: [{ address: "10.30.0.9" }] })])],
    ["an address elsewhere", textOf([service(0, { addresses: [{ address: "fc00::9", policy: "random" }] })])],
    ["a namespace in the ranges", textOf([service(0, { instances: [instance(0, { namespace: ["10.30.0.9"] })] })])],
    ["an address of no host", textOf([service(0, { instances: [instance(0, { addresses: ["::"] })] })])],
    ["a link-local address", textOf([service(0, { instances: [instance(0, { namespace: ["fe80::1"] })] })])],
    ["no namespace", textOf([service(0, { instances: [instance(0, { namespace: [] })] })])],
    ["a family without its address", textOf([service(0, { instances: [instance(0, { addresses: ["fdff::9"] })] })])],
    ["two of a family", textOf([service(0, { instances: [instance(0, { addresses: ["fdff::8", "fdff::9"] })] })])],
    [
      "three addresses",
      textOf([service(0, { instances: [instance(0, { addresses: ["10.30.1.1", "fdff::8", "fdff::9"] })] })]),
    ],
    ["a comma too many", textOf([service(0)]).replace("}]}]", "},]}]")],
    ["a bracket too few", textOf([service(0)]).slice(0, -2)],
    ["YAML in braces", textOf([service(0)]).replace('"name"', "name")],
    ["a comment", textOf([service(0)]).replace("[{", '[ # "services": [1]\n{')],
    ["text behind it", `${textOf([service(0)])} x`],
    ["nodes that are wrong", JSON.stringify({ nodes: [{ id: 5 }], services: [service(0)] })],
    ["something deep", textOf([service(0, { more: JSON.parse(`${"[".repeat(63)}${"]".repeat(63)}`) })])],
    ["services that are no list", textOf([], { services: { a: 1 } })],
    ["a field called services elsewhere", JSON.stringify({ nodes: [{ services: [] }], services: [service(0)] })],
  ])("with %s is what the reader of short texts makes of it", (_what, text) => {
    expect(heldOutcome(text, request)).toEqual(shortOutcome(text, request));
  });
});

test("random texts, some of them spoilt, are what the reader of short texts makes of them", () => {
  const random = new Random(21);
  let good = 0;
  for (let i = 0; i < 400; i++) {
    const services = Array.from({ length: 1 + random.below(3) }, (_, index) => service(index));
    let text = textOf(services);
    for (let times = random.below(3); times > 0; times--) {
      const at = random.below(text.length);
      const put = random.pick(["", " ", "0", '"', ",", "]", "}", "e", ":", "\\", "ß"]);
      text = text.slice(0, at) + put + text.slice(at + random.below(3));
    }
    const [held, short] = [heldOutcome(text, TABLES), shortOutcome(text, TABLES)];
    expect(held, text).toEqual(short);
    if (short.refusal === undefined) good += 1;
  }
  expect(good).toBeGreaterThan(80);
});

test("services that are written plainly are not read as a whole", () => {
  const text = Buffer.from(textOf(Array.from({ length: 100 }, (_, i) => service(i))));
  let decoded = 0;
  const held = new HeldText(text, (bytes) => {
    decoded += bytes.length;
    return new TextDecoder().decode(bytes);
  });
  const taken = new Taken();
  held.read(TABLES, [], (part) => taken.take(part));
  expect(taken.services).toHaveLength(100);
  expect(decoded).toBeLessThan(200);
});

test("services are found where they are and nowhere else", () => {
  const found = (text: string) => {
    const services = findServices(Buffer.from(text));
    return services && text.slice(services.from, services.to);
  };
  expect(found('{"services":[1,[2],"]"]}')).toBe('1,[2],"]"');
  expect(found(' { "a" : "services" , "b":{"services":[3]}, "services" :\n[ ] }')).toBe(" ");
  for (const text of [
    "",
    "{}",
    "[]",
    '{"services":5}',
    '{"services":[',
    '{"a":{"services":[]}}',
    "services: []",
    '{"a',
  ]) {
    expect(found(text)).toBeUndefined();
  }
});

describe("services that are in force as a text has them", () => {
  const count = 10;
  const CONFIG = { node: { id: "node-a", underlay: { address: "192.0.2.1" } }, nodes: NODES };
  const services = Array.from({ length: count }, (_, i) => service(i));

  /** What is read anew, how many are kept, and whether all was checked. */
  function readAgain(text: string, inForce: readonly Service[]) {
    const options = { policies: ["round-robin"], inForce: { nodes: [], services: [] }, origins: originsOf(inForce) };
    const taken = new Taken();
    const held = new HeldText(Buffer.from(text), (bytes) => new TextDecoder().decode(bytes));
    const value = held.read({ kind: "config", name: "text", options }, [], (part) => taken.take(part));
    return { read: taken.services, kept: taken.kept, isChecked: isMarked(value) };
  }
  const configOf = (list: readonly unknown[], more: object = {}): string =>
    JSON.stringify({ ...CONFIG, services: list, ...more });
  const { read: inForce } = readAgain(configOf(services), []);

  test("are left out, and the others are read", () => {
    expect(inForce).toHaveLength(count);
    expect(readAgain(configOf(services), inForce)).toEqual({ read: [], kept: [...services.keys()], isChecked: false });
    const changed = services.with(3, service(3, { addresses: [] }));
    const { read, kept } = readAgain(configOf([...changed.slice(1), service(20)]), inForce);
    expect(read.map(({ name }) => name)).toEqual(["service-3", "service-20"]);
    expect(kept).toEqual([1, 2, 4, 5, 6, 7, 8, 9]);
    expect(read.map((one) => ({ ...one }))).toEqual(
      readAgain(configOf([changed[3], service(20)]), []).read.map((one) => ({ ...one })),
    );
  });

  test("are read where other rules, bindings or more changes are there", () => {
    const others = [
      configOf(services, { ranges: ["10.30.0.0/16", "fdff::/16", "10.31.0.0/16"] }),
      configOf(services, { bindings: [{ prefix: "fdff:2000::/24", policy: "round-robin" }] }),
      configOf(services.map((_, i) => service(i, i < 6 ? { addresses: [] } : {}))),
    ];
    for (const text of others) expect(readAgain(text, inForce)).toMatchObject({ kept: [], isChecked: true });
  });

  test("count for what a file needs", () => {
    const tables = { instances: count - 1 };
    expect(() => readAgain(configOf(services, { tables }), inForce)).toThrow(`expected at least ${count}`);
  });
});
