// Table queries: one at a time for a thing, within limits, and fair.
import { expect, test } from "vitest";
import {
  type Asked,
  type Asking,
  Queries,
  type QueriesOptions,
} from "../../../../../src/control/providers/oakestra/queries.ts";

/** What a workload calls. */
function by(...askers: number[]): Asking {
  return { isUrgent: false, askers };
}

/** What its connections and answers depend on. */
function urgentBy(...askers: number[]): Asking {
  return { isUrgent: true, askers };
}

function addresses(network: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.30.${network + (i >> 8)}.${i & 255}`);
}

function open(options: Partial<QueriesOptions> = {}) {
  const sent: string[] = [];
  const told: string[] = [];
  const late: unknown[] = [];
  const queries = new Queries({
    send: (asked: Asked) => sent.push("sip" in asked ? asked.sip : asked.sname),
    isConnected: () => true,
    onLate: (asked, { app_name }) => late.push([asked, app_name]),
    tell: (sentence) => told.push(sentence),
    ...options,
  });
  const result = (fields: object) => queries.onResult(Buffer.from(JSON.stringify(fields)));
  return { queries, sent, told, late, result };
}

test("what is asked twice is sent once, and both get the answer", async () => {
  const { queries, sent, result } = open();
  const both = [queries.ask({ sip: "10.30.0.1" }, by(1)), queries.ask({ sip: "10.30.0.1" })];
  result({ app_name: "x.d.x1.d", instance_list: [], query_key: "10.30.0.1" });
  expect((await Promise.all(both)).map((one) => typeof one)).toEqual(["object", "object"]);
  expect(sent).toEqual(["10.30.0.1"]);
});

test("a result belongs to the address or the name in its query_key, in whatever form; without one to its app_name [behaviour 6]", async () => {
  const { queries, result } = open();
  const [address, name, old] = [
    queries.ask({ sip: "fdff:2000::1" }, by(1)),
    queries.ask({ sname: "x.d.x1.d" }, by(1)),
    queries.ask({ sname: "y.d.y1.d" }, by(1)),
  ];
  result({ APP_NAME: "x.d.x1.d", instance_list: null, query_key: "FDFF:2000:0::1" });
  result({ app_name: "x.d.x1.d", query_key: "x.d.x1.d" });
  result({ app_name: "y.d.y1.d" });
  expect(await Promise.all([address, name, old])).toMatchObject([
    { app_name: "x.d.x1.d", instance_list: [] },
    { query_key: "x.d.x1.d" },
    { app_name: "y.d.y1.d" },
  ]);
});

test("a result without a query_key answers by its name, or by the addresses in it [behaviour 6]", async () => {
  const { queries, result } = open();
  const addresses = ["10.30.0.1", "fdff:2000::1", "10.30.0.9"].map((sip) => queries.ask({ sip }, by(1)));
  const name = queries.ask({ sname: "x.d.x1.d" });
  const service_ip = [null, { IpType: "RR", Address: "10.30.0.1", Address_v6: "FDFF:2000:0::1" }];
  result({ app_name: "x.d.x1.d", query_key: null, instance_list: [7, { service_ip }, { service_ip }] });
  expect(await Promise.all([name, ...addresses.slice(0, 2)])).toMatchObject(Array(3).fill({ app_name: "x.d.x1.d" }));
  expect(await Promise.race([addresses[2], Promise.resolve("waits")])).toBe("waits");
});

test("garbage and answers that nobody asked for change nothing [defect 39, remedy 15]", async () => {
  const { queries, told, result } = open();
  const asked = queries.ask({ sip: "10.30.0.1" }, by(1));
  for (const payload of ["{", "[]", "7", '{"instance_list": 5}']) queries.onResult(Buffer.from(payload));
  result({ app_name: "", instance_list: [], query_key: "10.30.0.2" });
  expect(told).toHaveLength(4);
  result({ app_name: "", instance_list: [], query_key: "10.30.0.1" });
  result({ app_name: "", instance_list: [], query_key: "10.30.0.1" });
  expect(await asked).toMatchObject({ query_key: "10.30.0.1" });
});

test("1,000 unknown addresses hold up no urgent query, nor another workload's [defect 5, measured 9]", () => {
  const { queries, sent, result } = open({ othersMax: 4 });
  for (const sip of addresses(0, 1000)) void queries.ask({ sip }, by(1));
  expect(sent).toEqual(addresses(0, 4));
  void queries.ask({ sname: "x.d.x1.d" });
  for (const sip of addresses(99, 3)) void queries.ask({ sip }, by(2));
  expect(sent.slice(4)).toEqual(["x.d.x1.d", "10.30.99.0"]);
  result({ query_key: "10.30.99.0" });
  result({ query_key: "10.30.0.0" });
  result({ query_key: "10.30.0.1" });
  result({ query_key: "10.30.0.2" });
  expect(sent.slice(6)).toEqual(["10.30.99.1", "10.30.0.4", "10.30.99.2"]);
});

test("what a workload floods with holds up neither its own answers and connections, nor the node's own queries [measured 9]", () => {
  const { queries, sent } = open({ othersMax: 4, urgentMax: 2 });
  for (const sip of addresses(0, 1000)) void queries.ask({ sip }, by(1));
  for (const sip of addresses(50, 1000)) void queries.ask({ sip }, urgentBy(1)); // as if it were answers
  expect(sent.slice(4)).toEqual(["10.30.50.0", "10.30.50.1"]);
  void queries.ask({ sname: "x.d.x1.d" });
  void queries.ask({ sip: "10.30.99.1" }, urgentBy(2));
  expect(sent.slice(6)).toEqual(["x.d.x1.d", "10.30.99.1"]);
});

test.each<[string, Asking | undefined]>([
  ["another workload asks for", by(2)],
  ["becomes urgent", urgentBy(1)],
  ["the node itself asks for", undefined],
])("what is in a flood already and %s does not wait behind it [measured 9]", async (_what, asking) => {
  const { queries, sent, result } = open({ othersMax: 1, urgentMax: 1 });
  const flood = addresses(0, 1000).map((sip) => queries.ask({ sip }, by(1)));
  const again = queries.ask({ sip: "10.30.3.1" }, asking);
  expect(sent).toEqual(["10.30.0.0", "10.30.3.1"]);
  result({ query_key: "10.30.3.1", app_name: "x.d.x1.d" });
  expect([await again, await flood[3 * 256 + 1]]).toMatchObject([{ app_name: "x.d.x1.d" }, { app_name: "x.d.x1.d" }]);
  for (const sip of addresses(0, 1000)) result({ query_key: sip });
  expect(sent).toHaveLength(1000); // each once
});

test("a query that nobody answers ends, and may be asked again [defect 4, remedy 2]", async () => {
  const { queries, sent } = open({ timeoutMs: 5 });
  expect(await queries.ask({ sip: "10.30.0.1" }, by(1))).toBe("unanswered");
  void queries.ask({ sip: "10.30.0.1" }, by(1));
  expect(sent).toEqual(["10.30.0.1", "10.30.0.1"]);
});

test("nothing is asked while the broker is away, and what was is unanswered", async () => {
  let isConnected = true;
  const { queries, sent } = open({ isConnected: () => isConnected, othersMax: 1 });
  const asked = [queries.ask({ sip: "10.30.0.1" }, by(1)), queries.ask({ sip: "10.30.0.2" }, by(1))];
  isConnected = false;
  queries.onDisconnected();
  expect(await Promise.all([...asked, queries.ask({ sip: "10.30.0.3" }, by(1))])).toEqual(Array(3).fill("unanswered"));
  expect(sent).toEqual(["10.30.0.1"]);
});

test("what nobody waits for any more is not sent, and holds up nobody behind it [defect 5, measured 9]", async () => {
  const { queries, sent, result } = open({ othersMax: 1 });
  let isOver = false;
  const burst = Array.from({ length: 1000 }, (_, i) => {
    return queries.ask({ sip: `10.30.${i >> 8}.${i & 255}` }, { ...by(1), isWanted: () => !isOver });
  });
  void queries.ask({ sip: "10.30.99.1" }, by(1));
  isOver = true;
  result({ query_key: "10.30.0.0" });
  expect(sent).toEqual(["10.30.0.0", "10.30.99.1"]);
  expect((await Promise.all(burst)).filter((outcome) => outcome === "unwanted")).toHaveLength(999);
});

test("an answer that comes after its query was given up counts as late, once for each, until the broker goes [defect 4]", async () => {
  const { queries, sent, late, result } = open({ timeoutMs: 5 });
  const answer = { query_key: "x.d.x1.d", instance_list: [] };
  for (let i = 0; i < 2; i++) await queries.ask({ sname: "x.d.x1.d" });
  const third = queries.ask({ sname: "x.d.x1.d" });
  result({ ...answer, app_name: "the first" }); // which nobody can tell from the third
  expect([await third, sent.length]).toMatchObject([{ app_name: "the first" }, 3]);
  for (const app_name of ["the second", "the third", "nobody's"]) result({ ...answer, app_name });
  const asked = { sname: "x.d.x1.d" };
  expect(late).toEqual([
    [asked, "the second"],
    [asked, "the third"],
  ]);
  await queries.ask({ sip: "10.30.0.1" }, by(1));
  queries.onDisconnected();
  result({ query_key: "10.30.0.1" });
  expect(late).toHaveLength(2);
});
