// What is known of the health of instances: thresholds, and what becomes of it when the tables change.
import { beforeEach, describe, expect, test } from "vitest";
import { type CheckedInstance, HealthBook } from "../../../../src/control/health/health-book.ts";
import type { Instance, Service, ServiceHealth } from "../../../../src/model/tables.ts";
import { given } from "../../../support/given.ts";

const SETTINGS: ServiceHealth = { tcp: 80, interval: 1000, timeout: 500, healthy: 2, unhealthy: 3 };

let told: string[];
let written: string[];
let book: HealthBook;

beforeEach(() => {
  told = [];
  written = [];
  book = new HealthBook({
    nodeId: "node-a",
    indicesOf: (service) => (service === "web" ? [11, 12, 13] : [21]),
    nowMs: () => 0,
    onState: (index, state) => written.push(`${index} ${state}`),
    onChange: ({ service, instance: { number }, state }, before) =>
      told.push(`${service}#${number} ${before} -> ${state}`),
    onCome: ({ service, instance: { number } }) => told.push(`${service}#${number} comes`),
    onGo: ({ service, instance: { number } }) => told.push(`${service}#${number} goes`),
  });
});

function instance(number: number, node = "node-a", namespaceAddresses = [`10.18.0.${number}`]): Instance {
  return { number, node, namespaceAddresses, instanceAddresses: [], weight: 1, draining: false };
}

function web(instances: readonly Instance[], health = SETTINGS): Service {
  return { name: "web", addresses: [], instances, health };
}

function set(...setServices: readonly Service[]): void {
  book.follow({ setServices, removeServices: [] });
}

function of(number: number): CheckedInstance {
  return given(book.of("web", number));
}

function check(number: number, ...results: readonly ("pass" | "fail")[]): void {
  for (const result of results) book.noteCheck(of(number), result === "pass" ? undefined : "refused");
}

test("a service without checks is not known", () => {
  set({ name: "plain", addresses: [], instances: [instance(1)] });
  expect([...book.all()]).toEqual([]);
  expect(book.of("plain", 1)).toBeUndefined();
  expect([...told, ...written]).toEqual([]);
});

describe("thresholds", () => {
  beforeEach(() => {
    set(web([instance(1)]));
    written.length = 0;
    told.length = 0;
  });

  test("one check that is passed makes an unknown one healthy", () => {
    expect(of(1).state).toBe("unknown");
    check(1, "pass");
    expect(of(1).state).toBe("healthy");
    expect(written).toEqual(["11 healthy"]);
  });

  test("so many failures in a row make it unhealthy, once", () => {
    check(1, "pass", "fail", "fail", "pass", "fail", "fail");
    expect(of(1).state).toBe("healthy");
    check(1, "fail");
    expect(of(1)).toMatchObject({ state: "unhealthy", reason: "refused" });
    check(1, "fail", "fail");
    expect(written).toEqual(["11 healthy", "11 unhealthy"]);
    expect(told).toEqual(["web#1 unknown -> healthy", "web#1 healthy -> unhealthy"]);
  });

  test("so many checks in a row that are passed make it healthy again", () => {
    check(1, "fail", "fail", "fail", "pass", "fail", "pass");
    expect(of(1).state).toBe("unhealthy");
    check(1, "pass");
    expect(of(1)).toMatchObject({ state: "healthy", reason: undefined });
  });
});

describe("tables that change", () => {
  beforeEach(() => {
    set(web([instance(1), instance(2), instance(3, "node-b")]));
    check(1, "fail", "fail", "fail");
    told.length = 0;
    written.length = 0;
  });

  test("an instance that stays keeps what is known of it, also when the file was read anew", () => {
    set(web([{ ...instance(1), weight: 7 }, instance(2), instance(3, "node-b")], { ...SETTINGS }));
    expect(of(1).state).toBe("unhealthy");
    expect([...told, ...written]).toEqual([]);
  });

  test("one that moves or has another address is another one", () => {
    set(web([instance(1, "node-a", ["10.18.0.99"]), instance(2), instance(3, "node-a")]));
    expect(of(1).state).toBe("unknown");
    expect(told).toEqual(["web#1 goes", "web#3 goes", "web#1 comes", "web#3 comes"]);
    expect(written).toEqual(["11 unknown", "13 unknown"]);
  });

  test("one that goes is forgotten, and its service as well", () => {
    set(web([instance(2), instance(3, "node-b")]));
    expect(book.of("web", 1)).toBeUndefined();
    book.follow({ setServices: [], removeServices: ["web"] });
    expect([...book.all()]).toEqual([]);
    expect(told.filter((line) => line.endsWith("goes")).length).toBe(
      told.filter((l) => l.endsWith("comes")).length + 3,
    );
  });

  test("when its service asks for checks no more, nothing speaks against it", () => {
    set({ ...web([instance(1), instance(2), instance(3, "node-b")]), health: undefined });
    expect(book.of("web", 1)).toBeUndefined();
    expect(written).toContain("11 unknown");
  });

  test("the result of a check of one that went changes nothing", () => {
    const before = of(2);
    set(web([instance(1)]));
    for (let i = 0; i < 5; i++) book.noteCheck(before, "refused");
    expect(told.filter((line) => line.includes("->"))).toEqual([]);
  });
});

test("only of other nodes' instances somebody else has the word", () => {
  set(web([instance(1), instance(2, "node-b")]));
  for (const number of [1, 2]) book.noteWord(of(number), "unhealthy", "its node says so");
  expect([of(1).state, of(2).state]).toEqual(["unknown", "unhealthy"]);
});
