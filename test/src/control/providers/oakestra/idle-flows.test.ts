// An interest is held for as long as a flow in the engine's own table uses its job, however long nobody sends anything.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Interests } from "../../../../../src/control/providers/oakestra/interests.ts";
import { Jobs } from "../../../../../src/control/providers/oakestra/jobs.ts";
import { nodeTopics } from "../../../../../src/control/providers/oakestra/messages.ts";
import type { Asked, Queries, QueryOutcome } from "../../../../../src/control/providers/oakestra/queries.ts";
import type { ProviderSink } from "../../../../../src/control/providers/provider.ts";
import { TableStore } from "../../../../../src/control/tables/table-store.ts";
import { BUILT_IN_POLICIES } from "../../../../../src/model/policy-names.ts";
import { parsePrefix } from "../../../../../src/net/address.ts";
import { providerSink } from "../../../../../src/node/provider-sink.ts";
import { EngineFixture } from "../../../../support/engine-fixture.ts";
import { FLAG, packet } from "../../../../support/packet-builder.ts";
import { RANGES } from "../../../../support/world.ts";

const [NODE, CLIENT, SERVER] = ["this-node", "c.d.client.d", "x.d.server.d"];
const OWN = { v4: "10.18.0.66", v6: "fc00::102" };
const [CLIENT_IP, SERVER_IP, SERVICE_IP, SERVER_NS] = ["10.30.0.20", "10.30.0.10", "10.30.0.1", "10.18.1.2"];
const ESTABLISHED_MS = 600_000;
const MINUTE_MS = 60_000;
const IDLE_MS = 10_000;
const RECORDS: Readonly<Record<string, object>> = {
  [CLIENT]: {
    ...{ instance_number: 0, namespace_ip: OWN.v4, namespace_ip_v6: OWN.v6, host_ip: "192.0.2.1", host_port: 50103 },
    service_ip: [{ IpType: "instance_ip", Address: CLIENT_IP }],
  },
  [SERVER]: {
    ...{ instance_number: 0, namespace_ip: SERVER_NS, namespace_ip_v6: "fc00::1:2", host_ip: "192.0.2.2" },
    host_port: 50103,
    service_ip: [
      { IpType: "RR", Address: SERVICE_IP },
      { IpType: "instance_ip", Address: SERVER_IP },
    ],
  },
};

let fixture: EngineFixture;
let store: TableStore;
let interests: Interests;
let removed: unknown[];

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  removed = [];
  fixture = await EngineFixture.create({
    ...{ nodeId: NODE, ranges: RANGES, tables: { nodes: [], services: [] }, withoutTwin: true },
    memory: { timeoutsMs: { tcpEstablished: ESTABLISHED_MS } },
  });
  const ranges = RANGES.map(parsePrefix);
  store = new TableStore(fixture.tables, { nodeId: NODE, ranges });
  const sink: ProviderSink = providerSink({
    ...{ nodeId: NODE, store, shared: fixture.shared },
    questions: { open: () => [], refuse: () => undefined } as never,
    policies: () => BUILT_IN_POLICIES,
    showStatus: () => undefined,
    alarms: { tell: () => undefined, end: () => undefined },
  });
  const tell = (sentence: string): void => expect.fail(sentence);
  const jobs = new Jobs({
    ...{ sink, ranges, tell, policyOf: () => undefined, onChange: () => undefined },
    own: {
      find: (job) => (job === CLIENT ? OWN : undefined),
      isOwnTunnel: (address) => address === "192.0.2.1",
      isOwnNamespace: (address) => address.startsWith("10.18.0."),
    },
  });
  interests = new Interests({
    sink,
    session: {
      subscribe: async () => true,
      unsubscribe: () => undefined,
      publishOnce: async (_topic: string, message: object) => {
        removed.push(message);
        return true;
      },
    },
    topics: nodeTopics("w"),
    queries: { ask: async (asked: Asked) => resultFor(asked) } as unknown as Queries,
    jobs,
    isDeployed: (job) => job === CLIENT,
    tell,
  });
  for (const job of [CLIENT, SERVER]) {
    interests.hold(job);
    await interests.refresh(job);
  }
});

afterEach(() => {
  interests.close();
  vi.useRealTimers();
});

test("an idle connection holds the job of its instance until it ends, and then it is given up [behaviour 8, measured 6]", async () => {
  connect();
  for (let minute = 1; minute * MINUTE_MS < ESTABLISHED_MS; minute++) {
    await pass(MINUTE_MS);
    expect([interests.held, names(), removed]).toEqual([[CLIENT, SERVER], [CLIENT, SERVER], []]);
  }
  await pass(MINUTE_MS); // the connection is over
  await pass(IDLE_MS + 1000);
  expect([interests.held, names(), removed]).toEqual([[CLIENT], [CLIENT], [{ appname: SERVER }]]);
});

test("without a connection it is given up after 10 s", async () => {
  await pass(IDLE_MS - 1000);
  expect(names()).toEqual([CLIENT, SERVER]);
  await pass(2000);
  expect([names(), removed]).toEqual([[CLIENT], [{ appname: SERVER }]]);
});

function resultFor(asked: Asked): QueryOutcome {
  const name = "sname" in asked ? asked.sname : "";
  return { app_name: name, query_key: name, instance_list: [RECORDS[name]] };
}

function names(): string[] {
  return store.snapshot().services.map(({ name }) => name);
}

/** In both clocks: the engine's and that of timers. */
async function pass(milliseconds: number): Promise<void> {
  fixture.advance(milliseconds);
  fixture.sweep();
  await vi.advanceTimersByTimeAsync(milliseconds);
}

function connect(): void {
  const out = packet().ip(OWN.v4, SERVICE_IP);
  const ports = { sport: 4000, dport: 80 };
  expect(fixture.egress(out.tcp({ ...ports, flags: FLAG.SYN, seq: 1 }).frame()).datagrams).toHaveLength(1);
  const answer = packet().ip(SERVER_IP, OWN.v4);
  const back = answer.tcp({ sport: 80, dport: 4000, flags: FLAG.SYN | FLAG.ACK, seq: 7, ack: 2 }).bytes();
  expect(fixture.ingress({ address: "192.0.2.2", port: 50103, bytes: back }).tunWrites).toHaveLength(1);
  fixture.egress(out.tcp({ ...ports, flags: FLAG.ACK, seq: 2, ack: 8 }).frame());
}
