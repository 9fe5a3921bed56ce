// Interests in jobs: held while they are used, and given up so that no cluster manager fails.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Interests } from "../../../../../src/control/providers/oakestra/interests.ts";
import type { Jobs } from "../../../../../src/control/providers/oakestra/jobs.ts";
import { nodeTopics, type TableQueryResult } from "../../../../../src/control/providers/oakestra/messages.ts";
import { type Asked, Queries, type QueryOutcome } from "../../../../../src/control/providers/oakestra/queries.ts";

const JOB = "x.d.x1.d";
const TOPIC = `jobs/${JOB}/updates_available`;
const RESULT = { app_name: JOB, query_key: JOB, instance_list: [{ instance_number: 0 }] };

let log: string[];
let outcome: QueryOutcome;
let outcomeByAddress: QueryOutcome;
let answer: Promise<void>; // what answers wait for
let isSubscribed: Promise<boolean>;
let isSaid: Promise<boolean>;
let isDeployed: boolean;
const inUse = new Set<string>();
let interests: Interests;

async function ask(asked: Asked): Promise<QueryOutcome> {
  log.push(`ask ${"sip" in asked ? asked.sip : asked.sname}`);
  await answer;
  return "sip" in asked ? outcomeByAddress : outcome;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  log = [];
  outcome = RESULT;
  answer = Promise.resolve();
  isSubscribed = Promise.resolve(false); // the broker is away
  isSaid = Promise.resolve(true);
  isDeployed = false;
  inUse.clear();
  interests = new Interests(options());
});

function options(): ConstructorParameters<typeof Interests>[0] {
  return {
    sink: { servicesInUse: () => inUse } as never,
    session: {
      subscribe: (topic: string) => {
        log.push(`subscribe ${topic}`);
        return isSubscribed;
      },
      unsubscribe: (topic: string) => void log.push(`unsubscribe ${topic}`),
      publishOnce: (topic: string, message: object) => {
        log.push(`${topic} ${JSON.stringify(message)}`);
        return isSaid;
      },
    },
    topics: nodeTopics("w"),
    queries: { ask, join: () => undefined } as unknown as Queries,
    jobs: {
      put: async (name: string, list: readonly unknown[]) => void log.push(`put ${name} ${list.length}`),
      remove: async (names: readonly string[]) => void log.push(`remove ${names.join()}`),
      addressesOf: () => ["10.30.0.1"],
    } as unknown as Jobs,
    isDeployed: () => isDeployed,
    tell: (sentence: string) => void log.push(sentence),
  };
}

afterEach(() => {
  interests.close();
  vi.useRealTimers();
});

test("one that nothing uses for 10 s is asked for once more, and then given up exactly once [behaviour 8, defect 33, measured 1, remedy 15]", async () => {
  interests.hold(JOB);
  interests.hold(JOB);
  await vi.advanceTimersByTimeAsync(9_400);
  expect(log).toEqual([`subscribe ${TOPIC}`]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect(log.slice(1)).toEqual([
    `ask ${JOB}`,
    `nodes/w/net/interest/remove {"appname":"${JOB}"}`,
    `unsubscribe ${TOPIC}`,
    `remove ${JOB}`,
  ]);
  expect([interests.held, interests.wasKnown("10.30.0.1"), interests.wasKnown("10.30.0.2")]).toEqual([[], true, false]);
});

test.each([
  ["a flow", () => inUse.add(JOB), () => inUse.clear()],
  [
    "an instance of this node",
    () => {
      isDeployed = true;
    },
    () => {
      isDeployed = false;
    },
  ],
])("%s holds it, and it is asked for now and then", async (_what, begin, end) => {
  interests.hold(JOB);
  begin();
  await vi.advanceTimersByTimeAsync(125_000);
  expect(log.filter((line) => line.startsWith("ask"))).toHaveLength(2);
  expect(interests.held).toEqual([JOB]);
  end();
  await vi.advanceTimersByTimeAsync(11_000);
  expect(interests.held).toEqual([]);
});

test("one that the cluster does not answer for is held, so that nothing is removed that it does not know [defect 45, measured 1]", async () => {
  interests.hold(JOB);
  outcome = "unanswered";
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log.some((line) => line.includes("interest/remove"))).toBe(false);
  outcome = RESULT;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(interests.held).toEqual([]);
});

const EMPTY = { ...RESULT, instance_list: [] };

test.each<[string, Partial<TableQueryResult> | "unanswered", number]>([
  ["knows without instances is given up with a removal", { app_name: JOB }, 1],
  ["does not know is given up in silence", { app_name: "" }, 0],
  ["says nothing of is held", "unanswered", 0],
])("a job that the cluster %s [defect 45, measured 1]", async (_what, byAddress, removals) => {
  interests.hold(JOB);
  outcome = EMPTY;
  outcomeByAddress = byAddress === "unanswered" ? byAddress : { ...EMPTY, ...byAddress };
  await vi.advanceTimersByTimeAsync(11_000);
  expect(log.slice(1, 3)).toEqual([`ask ${JOB}`, "ask 10.30.0.1"]);
  expect(log.filter((line) => line.includes("interest/remove"))).toHaveLength(removals);
  expect(interests.held).toEqual(byAddress === "unanswered" ? [JOB] : []);
});

test("a removal that the broker did not get before it went is said once more, behind another query [measured 1]", async () => {
  interests.hold(JOB);
  const said = pending<boolean>();
  isSaid = said.promise;
  await vi.advanceTimersByTimeAsync(11_000);
  const removal = `nodes/w/net/interest/remove {"appname":"${JOB}"}`;
  expect(log.slice(1)).toEqual([`ask ${JOB}`, removal]);
  said.settle(false);
  isSaid = Promise.resolve(true);
  await vi.advanceTimersByTimeAsync(0);
  interests.onConnected();
  await vi.advanceTimersByTimeAsync(0);
  expect(log.slice(3)).toEqual([`ask ${JOB}`, removal, `unsubscribe ${TOPIC}`, `remove ${JOB}`]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log).toHaveLength(7);
});

test("one that is taken again while its removal is underway is asked for anew, and kept", async () => {
  interests.hold(JOB);
  const said = pending<boolean>();
  isSaid = said.promise;
  await vi.advanceTimersByTimeAsync(11_000);
  interests.hold(JOB);
  said.settle(true);
  await vi.advanceTimersByTimeAsync(0);
  expect(log.slice(3)).toEqual([`ask ${JOB}`, `put ${JOB} 1`]);
  expect(interests.held).toEqual([JOB]);
});

test("an update is asked for, one more that comes meanwhile once again, and those of others are not [behaviour 7]", async () => {
  interests.hold(JOB);
  interests.onUpdate("other.d.o.d");
  interests.onUpdate(JOB);
  interests.onUpdate(JOB);
  interests.onUpdate(JOB);
  await vi.advanceTimersByTimeAsync(0);
  expect(log.slice(1)).toEqual([`ask ${JOB}`, `put ${JOB} 1`, `ask ${JOB}`, `put ${JOB} 1`]);
});

test("a new connection to the broker asks for all that is held [measured 1]", async () => {
  interests.hold(JOB);
  interests.onConnected();
  await vi.advanceTimersByTimeAsync(0);
  expect(log.slice(1)).toEqual([`ask ${JOB}`, `put ${JOB} 1`]);
});

/** Until settled by hand. */
function pending<Value>(): { readonly promise: Promise<Value>; readonly settle: (value: Value) => void } {
  let settle: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((resolve) => {
    settle = resolve;
  });
  return { promise, settle };
}

test("one that is taken for an answer is asked for once more behind its subscription: what changed between the two was told to nobody [behaviour 7]", async () => {
  const subscribed = pending<boolean>();
  isSubscribed = subscribed.promise;
  interests.hold(JOB);
  interests.hold(JOB);
  await vi.advanceTimersByTimeAsync(1000);
  expect(log).toEqual([`subscribe ${TOPIC}`]);
  subscribed.settle(true);
  await vi.advanceTimersByTimeAsync(5000);
  expect(log.slice(1)).toEqual([`ask ${JOB}`, `put ${JOB} 1`]);
});

test.each<[string, boolean, () => unknown]>([
  ["was asked for since, as at a deploy", true, () => interests.refreshAnew(JOB)],
  ["will be asked for at the next connection", false, () => undefined],
])("one that %s is not asked for by its subscription", async (_what, granted, meanwhile) => {
  isSubscribed = Promise.resolve(granted);
  interests.hold(JOB);
  meanwhile();
  await vi.advanceTimersByTimeAsync(5000);
  const asked = log.filter((line) => line.startsWith("ask"));
  expect(asked).toHaveLength(granted ? 1 : 0);
});

test("at the end all are given up, each exactly once and behind a query, whoever uses them [behaviour 8, measured 2]", async () => {
  const answered = pending<void>();
  answer = answered.promise;
  isDeployed = true;
  interests.hold(JOB);
  void interests.refresh(JOB);
  interests.onUpdate(JOB);
  const ended = interests.end();
  answered.settle();
  await ended;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(log.slice(1)).toEqual([
    `ask ${JOB}`,
    `nodes/w/net/interest/remove {"appname":"${JOB}"}`,
    `unsubscribe ${TOPIC}`,
    `remove ${JOB}`,
  ]);
});

test("at the end nothing is removed that the cluster does not answer for [defect 45]", async () => {
  outcome = "unanswered";
  interests.hold(JOB);
  await interests.end();
  expect(log).toEqual([`subscribe ${TOPIC}`, `ask ${JOB}`]);
});

describe("while one that nothing uses is asked for the last time", () => {
  let answered: ReturnType<typeof pending<void>>;

  beforeEach(async () => {
    answered = pending<void>();
    answer = answered.promise;
    interests.hold(JOB);
    await vi.advanceTimersByTimeAsync(10_500);
    expect(log.slice(1)).toEqual([`ask ${JOB}`]);
  });

  async function settle(): Promise<void> {
    answered.settle();
    await vi.advanceTimersByTimeAsync(0);
  }

  test("an update puts nothing in force that is given up then", async () => {
    interests.onUpdate(JOB);
    await settle();
    expect(log.slice(2)).toEqual([
      `nodes/w/net/interest/remove {"appname":"${JOB}"}`,
      `unsubscribe ${TOPIC}`,
      `remove ${JOB}`,
    ]);
  });

  test("an update of one that is used again is asked for behind it [behaviour 7]", async () => {
    isDeployed = true;
    interests.onUpdate(JOB);
    await settle();
    expect(log.slice(2)).toEqual([`put ${JOB} 1`, `ask ${JOB}`, `put ${JOB} 1`]);
  });

  test("whoever takes it again keeps it", async () => {
    interests.hold(JOB);
    await settle();
    expect([log.slice(2), interests.held]).toEqual([[`put ${JOB} 1`], [JOB]]);
  });

  test("a deploy asks by a query of its own", async () => {
    isDeployed = true;
    void interests.refreshAnew(JOB);
    await settle();
    expect(log.filter((line) => line.startsWith("ask"))).toHaveLength(2);
  });
});

test("one that is given up and taken again at once is subscribed to and asked for anew", async () => {
  isSubscribed = Promise.resolve(true);
  interests.hold(JOB);
  await vi.advanceTimersByTimeAsync(9_900);
  log = [];
  await vi.advanceTimersByTimeAsync(200);
  interests.hold(JOB);
  await vi.advanceTimersByTimeAsync(0);
  expect(log).toEqual([
    `ask ${JOB}`,
    `nodes/w/net/interest/remove {"appname":"${JOB}"}`,
    `unsubscribe ${TOPIC}`,
    `remove ${JOB}`,
    `subscribe ${TOPIC}`,
    `ask ${JOB}`,
    `put ${JOB} 1`,
  ]);
});

test("a new connection asks anew for what was being put in force: its answer is older", async () => {
  interests.hold(JOB);
  const answered = pending<void>();
  answer = answered.promise;
  void interests.refresh(JOB);
  interests.onConnected();
  answered.settle();
  await vi.advanceTimersByTimeAsync(0);
  expect(log.filter((line) => line.startsWith("ask"))).toHaveLength(2);
});

test("what a deploy waits for is asked for before all that is held, as after a new connection [measured 4]", async () => {
  const sent: string[] = [];
  const queries = new Queries({
    send: (asked) => void ("sname" in asked && sent.push(asked.sname)),
    isConnected: () => true,
    onLate: () => undefined,
    tell: () => undefined,
  });
  const held = new Interests({ ...options(), queries });
  const names = Array.from({ length: 200 }, (_, i) => `x.d.s${i}.d`);
  for (const name of names) held.hold(name);
  held.onConnected();
  expect(sent).not.toContain("x.d.s199.d");
  void held.refreshAnew("x.d.s199.d");
  held.hold("x.d.new.d");
  void held.refreshAnew("x.d.new.d");
  expect(sent.at(-1)).toBe("x.d.s199.d");
  queries.onResult(Buffer.from('{"query_key":"x.d.s199.d"}'));
  await vi.advanceTimersByTimeAsync(0);
  expect(sent.slice(-2)).toContain("x.d.new.d");
  held.close();
  queries.onDisconnected();
});

test("an answer to a query that was given up counts, and one of a job that is not held does not", async () => {
  interests.hold(JOB);
  await interests.onLate(JOB, RESULT);
  await interests.onLate("y.d.y1.d", RESULT);
  expect(log.slice(1)).toEqual([`put ${JOB} 1`]);
});
