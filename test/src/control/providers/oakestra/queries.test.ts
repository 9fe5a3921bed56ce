// Table queries: one at a time for a thing, within limits, and fair.
import { expect, test } from "vitest";
import { type Asked, Queries, type QueriesOptions } from "../../../../../src/control/providers/oakestra/queries.ts";

function open(options: Partial<QueriesOptions> = {}) {
  const sent: string[] = [];
  const told: string[] = [];
  const queries = new Queries({
    send: (asked: Asked) => sent.push("sip" in asked ? asked.sip : asked.sname),
    isConnected: () => true,
    tell: (sentence) => told.push(sentence),
    ...options,
  });
  const result = (fields: object) => queries.onResult(Buffer.from(JSON.stringify(fields)));
  return { queries, sent, told, result };
}

test("what is asked twice is sent once, and both get the answer", async () => {
  const { queries, sent, result } = open();
  const both = [queries.ask({ sip: "10.30.0.1" }, false), queries.ask({ sip: "10.30.0.1" }, true)];
  result({ app_name: "x.d.x1.d", instance_list: [], query_key: "10.30.0.1" });
  expect((await Promise.all(both)).map((one) => typeof one)).toEqual(["object", "object"]);
  expect(sent).toEqual(["10.30.0.1"]);
});

test("a result belongs to the address or the name in its query_key, in whatever form; without one to its app_name [behaviour 6]", async () => {
  const { queries, result } = open();
  const [address, name, old] = [
    queries.ask({ sip: "fdff:2000::1" }, false),
    queries.ask({ sname: "x.d.x1.d" }, false),
    queries.ask({ sname: "y.d.y1.d" }, false),
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

test("garbage and answers that nobody asked for change nothing [defect 39, remedy 15]", async () => {
  const { queries, told, result } = open();
  const asked = queries.ask({ sip: "10.30.0.1" }, false);
  for (const payload of ["{", "[]", "7", '{"instance_list": 5}']) queries.onResult(Buffer.from(payload));
  result({ app_name: "", instance_list: [], query_key: "10.30.0.2" });
  expect(told).toHaveLength(4);
  result({ app_name: "", instance_list: [], query_key: "10.30.0.1" });
  result({ app_name: "", instance_list: [], query_key: "10.30.0.1" });
  expect(await asked).toMatchObject({ query_key: "10.30.0.1" });
});

test("1,000 unknown addresses do not hold up an urgent query, nor another workload's [defect 5, measured 9]", async () => {
  const { queries, sent, result } = open({ othersMax: 4 });
  for (let i = 0; i < 1000; i++) void queries.ask({ sip: `10.30.${i >> 8}.${i & 255}` }, false, 1);
  void queries.ask({ sname: "x.d.x1.d" }, true);
  void queries.ask({ sip: "10.30.99.1" }, false, 2);
  expect(sent).toHaveLength(5);
  expect(sent.at(-1)).toBe("x.d.x1.d");
  result({ query_key: "10.30.0.0" });
  result({ query_key: "10.30.0.1" });
  expect(sent.slice(5)).toContain("10.30.99.1");
});

test("a query that nobody answers ends, and may be asked again [defect 4, remedy 2]", async () => {
  const { queries, sent } = open({ timeoutMs: 5 });
  expect(await queries.ask({ sip: "10.30.0.1" }, false)).toBe("unanswered");
  void queries.ask({ sip: "10.30.0.1" }, false);
  expect(sent).toEqual(["10.30.0.1", "10.30.0.1"]);
});

test("nothing is asked while the broker is away, and what was is unanswered", async () => {
  let isConnected = true;
  const { queries, sent } = open({ isConnected: () => isConnected, othersMax: 1 });
  const asked = [queries.ask({ sip: "10.30.0.1" }, false), queries.ask({ sip: "10.30.0.2" }, false)];
  isConnected = false;
  queries.onDisconnected();
  expect(await Promise.all([...asked, queries.ask({ sip: "10.30.0.3" }, false)])).toEqual(Array(3).fill("unanswered"));
  expect(sent).toEqual(["10.30.0.1"]);
});
