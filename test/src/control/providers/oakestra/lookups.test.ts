// Addresses that packets wait for are asked for as long as they do, and what is answered counts whenever it comes.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Interests } from "../../../../../src/control/providers/oakestra/interests.ts";
import type { Jobs } from "../../../../../src/control/providers/oakestra/jobs.ts";
import { Lookups } from "../../../../../src/control/providers/oakestra/lookups.ts";
import { type Asked, Queries } from "../../../../../src/control/providers/oakestra/queries.ts";
import type { AskedAddress } from "../../../../../src/control/providers/provider.ts";

const JOB = "x.d.x1.d";
const ADDRESS = "10.30.0.1";

let questions: AskedAddress[];
let sent: string[];
let log: string[];
let isConnected: boolean;
let queries: Queries;
let lookups: Lookups;
const known = new Set<string>();

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setTimeout", "clearTimeout", "performance"] });
  questions = [];
  sent = [];
  log = [];
  isConnected = true;
  known.clear();
  queries = new Queries({
    send: (asked: Asked) => sent.push("sip" in asked ? asked.sip : asked.sname),
    isConnected: () => isConnected,
    onLate: (asked, result) => void ("sip" in asked && lookups.onLate(asked.sip, result)),
    tell: (sentence) => log.push(sentence),
  });
  lookups = new Lookups({
    sink: {
      questions: () => questions.filter(({ address }) => !known.has(address)),
      refuse: (address: string) => void log.push(`refuse ${address}`),
    } as never,
    queries,
    jobs: {
      put: async (name: string, list: readonly unknown[]) => {
        log.push(`put ${name} ${list.length}`);
        known.add(ADDRESS);
      },
      hasAddress: (address: string) => known.has(address),
    } as unknown as Jobs,
    interests: {
      hold: (name: string) => void log.push(`hold ${name}`),
      wasKnown: () => false,
    } as unknown as Interests,
    tell: (sentence) => log.push(sentence),
  });
});

afterEach(() => {
  lookups.close();
  vi.useRealTimers();
});

function waiting(address: string, ...askers: number[]): AskedAddress {
  return { address, ageMs: 0, askers: askers.length === 0 ? [1] : askers, isUrgent: false };
}

function answer(fields: object): void {
  queries.onResult(Buffer.from(JSON.stringify(fields)));
}

test.each([
  ["an address is asked for once, and its job is held and put in force [behaviour 6]", 1000],
  ["an answer that comes between two attempts counts [defect 4, remedy 2]", 5200],
])("%s", async (_claim, answeredMs) => {
  questions = [waiting(ADDRESS)];
  await vi.advanceTimersByTimeAsync(answeredMs);
  answer({ app_name: JOB, instance_list: [{}], query_key: ADDRESS });
  await vi.advanceTimersByTimeAsync(1000);
  expect([sent, log]).toEqual([[ADDRESS], [`hold ${JOB}`, `put ${JOB} 1`]]);
});

test("a burst whose packets wait no longer holds up nobody: the cluster is not asked for it [defect 5, measured 9]", async () => {
  questions = Array.from({ length: 700 }, (_, i) => waiting(`10.30.${100 + (i >> 8)}.${i & 255}`));
  await vi.advanceTimersByTimeAsync(20);
  questions.push(waiting(ADDRESS));
  await vi.advanceTimersByTimeAsync(20);
  expect(sent).not.toContain(ADDRESS);
  questions = [waiting(ADDRESS)];
  await vi.advanceTimersByTimeAsync(20);
  answer({ query_key: "10.30.100.0" });
  await vi.advanceTimersByTimeAsync(0);
  expect(sent.slice(8)).toEqual([ADDRESS]);
});

test.each([
  ["another workload calls", { askers: [1, 2] }],
  ["an answer depends on", { isUrgent: true }],
])("an address of a burst that %s does not wait behind it [measured 9]", async (_what, change) => {
  const burst = Array.from({ length: 700 }, (_, i) => waiting(`10.30.${100 + (i >> 8)}.${i & 255}`));
  questions = [...burst, waiting(ADDRESS)];
  await vi.advanceTimersByTimeAsync(20);
  expect(sent).toHaveLength(8);
  questions = [...burst, { ...waiting(ADDRESS), ...change }];
  await vi.advanceTimersByTimeAsync(20);
  expect(sent.slice(8)).toEqual([ADDRESS]);
  await vi.advanceTimersByTimeAsync(100);
  expect(sent).toHaveLength(9);
});

test("what could not be asked while the broker was away is asked as soon as it is back [defect 40, remedy 15]", async () => {
  isConnected = false;
  questions = [waiting(ADDRESS)];
  await vi.advanceTimersByTimeAsync(60_000);
  isConnected = true;
  lookups.onConnected();
  await vi.advanceTimersByTimeAsync(20);
  expect(sent).toEqual([ADDRESS]);
});

test("an address that the cluster does not know is refused, unless it is known by then", async () => {
  questions = [waiting("10.30.0.8"), waiting("10.30.0.9")];
  await vi.advanceTimersByTimeAsync(20);
  known.add("10.30.0.8");
  for (const { address } of questions) answer({ app_name: "", instance_list: [], query_key: address });
  await vi.advanceTimersByTimeAsync(0);
  expect(log).toEqual(["refuse 10.30.0.9"]);
});
