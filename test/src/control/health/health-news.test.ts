// What is told of instances that fall ill or recover.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Logger } from "../../../../src/base/log.ts";
import type { CheckedInstance } from "../../../../src/control/health/health-book.ts";
import { type HealthEvent, HealthNews } from "../../../../src/control/health/health-news.ts";

let events: HealthEvent[];
let logged: string[];
let news: HealthNews;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  events = [];
  logged = [];
  const log = (level: string) => (_fields: object, sentence: string) => void logged.push(`${level}: ${sentence}`);
  news = new HealthNews({
    tell: (event) => events.push(event) < 20,
    log: { warn: log("warn"), info: log("info") } as unknown as Logger,
  });
});
afterEach(() => {
  vi.useRealTimers();
});

function checked(number: number, state: CheckedInstance["state"], isLocal = true): CheckedInstance {
  const settings = { tcp: 80, interval: 1000, timeout: 500, healthy: 1, unhealthy: 1 };
  const addresses = { namespaceAddresses: ["10.18.0.1"], instanceAddresses: [] };
  const instance = { number, node: isLocal ? "node-a" : "node-b", ...addresses, weight: 1, draining: false };
  const reason = state === "unhealthy" ? "refused the connection (TCP port 80)" : undefined;
  return { service: "web", instance, settings, isLocal, index: number, state, sinceMs: 0, reason };
}

test("an instance that falls ill and one that recovers are told with why and what to do", () => {
  news.add(checked(1, "unhealthy"), "healthy");
  news.add(checked(2, "unhealthy", false), "unknown");
  news.add(checked(3, "healthy"), "unhealthy");
  vi.runAllTimers();
  expect(events).toEqual([
    {
      kind: "instance-unhealthy",
      subject: "web#1",
      message: "Instance web#1 on node-a is unhealthy: it refused the connection (TCP port 80).",
      advice: expect.stringContaining("See whether its workload runs"),
    },
    {
      kind: "instance-unhealthy",
      subject: "web#2",
      message: expect.stringContaining("Instance web#2 on node-b is unhealthy"),
      advice: expect.stringContaining("See on node node-b"),
    },
    { kind: "instance-healthy", subject: "web#3", message: "Instance web#3 on node-a is healthy again." },
  ]);
  expect(logged.map((line) => line.split(":")[0])).toEqual(["warn", "warn", "info"]);
});

test.each([
  ["healthy from the start", "healthy", "unknown"],
  ["not spoken of any more", "unknown", "unhealthy"],
] as const)("that one is %s is no news", (_what, state, before) => {
  news.add(checked(1, state), before);
  vi.runAllTimers();
  expect(events).toEqual([]);
});

test("an instance at which flows fail is told with why, and when it is not avoided any more", () => {
  const instance = { service: "web", number: 4, node: "node-b" };
  const reason = "refused the last 3 flows of client shop#1 to TCP port 80";
  news.addPassive(instance, { health: "avoided", reason });
  news.addPassive(instance, { health: "unhealthy", reason });
  news.addPassive(instance, undefined);
  vi.runAllTimers();
  expect(events.map(({ kind, message }) => [kind, message])).toEqual([
    ["instance-unhealthy", `Instance web#4 on node-b is unhealthy: it ${reason}.`],
    ["instance-avoided", `Instance web#4 on node-b is avoided: it ${reason}.`],
    ["instance-healthy", "Instance web#4 on node-b is not avoided any more."],
  ]);
  expect(logged.map((line) => line.split(":")[0])).toEqual(["warn", "warn", "info"]);
});

test("of 10,000 at once ten are told, and the others are counted", () => {
  for (let number = 0; number < 10_000; number++) news.add(checked(number, "unhealthy"), "healthy");
  vi.runAllTimers();
  expect(events).toHaveLength(11);
  expect(events.at(-1)?.message).toBe("9990 more instances are unhealthy.");
  expect(logged).toHaveLength(11);
});

test("at the end nothing is left untold", () => {
  news.add(checked(1, "unhealthy"), "healthy");
  news.close();
  expect(events).toHaveLength(1);
});
