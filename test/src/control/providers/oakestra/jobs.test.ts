// Results of table queries become tables: whole jobs, and one odd record refuses nothing but itself.
import { beforeEach, describe, expect, test } from "vitest";
import { Jobs, type SavedJob } from "../../../../../src/control/providers/oakestra/jobs.ts";
import { TableStore } from "../../../../../src/control/tables/table-store.ts";
import { createSharedMemory } from "../../../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../../../src/memory/table-writer.ts";
import { BUILT_IN_POLICIES } from "../../../../../src/model/policy-names.ts";
import { parsePrefix } from "../../../../../src/net/address.ts";

const RANGES = ["10.30.0.0/16", "fdff::/16"].map(parsePrefix);
const RR = { IpType: "RR", Address: "10.30.0.1", Address_v6: "fdff:2000::1" };

function record(number: number, more: object = {}) {
  const own = { IpType: "instance_ip", Address: `10.30.0.${10 + number}`, Address_v6: `fdff::${10 + number}` };
  return {
    instance_number: number,
    namespace_ip: `10.18.1.${number + 2}`,
    namespace_ip_v6: `fc00::1:${number + 2}`,
    host_ip: "192.0.2.2",
    host_port: 50103,
    service_ip: [RR, own],
    ...more,
  };
}

let store: TableStore;
let jobs: Jobs;
let told: string[];
let changes: number;
const bound = new Map<string, string>();
const here = new Map<string, { v4: string; v6: string }>();

beforeEach(() => {
  told = [];
  changes = 0;
  here.clear();
  bound.clear();
  const shared = createSharedMemory({ ranges: RANGES });
  const rules = { nodeId: "this-node", ranges: RANGES };
  store = new TableStore(new TableWriter(shared, { nodeId: "this-node", policySlot: () => 0 }), rules);
  jobs = newJobs();
});

function newJobs(): Jobs {
  return new Jobs({
    sink: {
      nodeId: "this-node",
      merge: async (patch) => void (await store.merge(patch)),
      questions: () => [],
      refuse: () => undefined,
      servicesInUse: () => new Set(),
      policies: () => BUILT_IN_POLICIES,
      showStatus: () => undefined,
      alarms: { tell: () => undefined, end: () => undefined },
    },
    ranges: RANGES,
    policyOf: (job, address) => bound.get(job) ?? bound.get(address),
    own: {
      find: (job, number) => here.get(`${job} ${number}`),
      isOwnTunnel: (address, port) => address === "192.0.2.1" && port === 50103,
      isOwnNamespace: (address) => address.startsWith("10.18.0."),
    },
    tell: (sentence) => told.push(sentence),
    onChange: () => {
      changes += 1;
    },
  });
}

/** Service -> what its instances are called, and on which node. */
function inForce() {
  return Object.fromEntries(
    store
      .snapshot()
      .services.map(({ name, instances }) => [
        name,
        instances.map(({ number, node, namespaceAddresses }) => `${number} ${node} ${namespaceAddresses.join(" ")}`),
      ]),
  );
}

test("a result as the cluster manager really makes it [behaviour 6, behaviour 7]", async () => {
  await jobs.put("x.d.x1.d", [record(0), record(1, { host_ip: "192.0.2.3" })]);
  expect(told).toEqual([]);
  expect(store.snapshot().nodes.map(({ id, underlay }) => [id, underlay])).toEqual([
    ["192.0.2.2:50103", { address: "192.0.2.2", port: 50103 }],
    ["192.0.2.3:50103", { address: "192.0.2.3", port: 50103 }],
  ]);
  expect(store.snapshot().services).toEqual([
    expect.objectContaining({
      name: "x.d.x1.d",
      addresses: [
        { address: "10.30.0.1", policy: "round-robin" },
        { address: "fdff:2000::1", policy: "round-robin" },
      ],
    }),
  ]);
  expect(inForce()).toEqual({
    "x.d.x1.d": ["0 192.0.2.2:50103 10.18.1.2 fc00::1:2", "1 192.0.2.3:50103 10.18.1.3 fc00::1:3"],
  });
});

test("keys in any case, null, numbers as text and unknown keys [behaviour 6]", async () => {
  const { instance_number: INSTANCE_NUMBER, ...rest } = record(3, { host_port: "50103", cluster_id: null, extra: 1 });
  await jobs.put("x.d.x1.d", [{ ...rest, INSTANCE_NUMBER }]);
  expect([inForce(), told]).toEqual([{ "x.d.x1.d": ["3 192.0.2.2:50103 10.18.1.5 fc00::1:5"] }, []]);
});

describe("what is odd is left out and told, and the rest counts", () => {
  test.each<[string, unknown, string]>([
    ["no object", 7, "an instance of x.d.x1.d"],
    ["a number of the wrong type", record(1, { instance_number: "one" }), "instance_number"],
    ["no node", record(1, { host_ip: "somewhere" }), "expected the address and port of a node"],
    ["port 0", record(1, { host_port: 0 }), "expected the address and port of a node"],
    ["a node in the service ranges", record(1, { host_ip: "10.30.0.9" }), "expected the address and port of a node"],
    [
      "namespace addresses that are none",
      record(1, { namespace_ip: "<nil>", namespace_ip_v6: "x" }),
      "expected a namespace address",
    ],
    [
      "addresses outside the ranges",
      record(1, { service_ip: [{ IpType: "instance_ip", Address: "192.0.2.99" }] }),
      "no address of a service range",
    ],
  ])("%s", async (_what, odd, sentence) => {
    await jobs.put("x.d.x1.d", [odd, record(0)]);
    expect(inForce()).toEqual({ "x.d.x1.d": ["0 192.0.2.2:50103 10.18.1.2 fc00::1:2"] });
    expect(told.join("\n")).toContain(sentence);
    expect(jobs.oddRecords).toBe(told.length);
  });

  test("a policy that nobody has concerns its address alone [defect 43, measured 8]", async () => {
    const closest = { IpType: "Closest", Address: "10.30.0.2", Address_v6: "fdff:1000::2" };
    const odd = { IpType: "Underwater", Address: "10.30.0.3", Address_v6: "" };
    const [, own] = record(0).service_ip;
    await jobs.put("x.d.x1.d", [record(0, { service_ip: [closest, odd, own] })]);
    expect(store.snapshot().services[0]?.addresses).toEqual([
      { address: "10.30.0.2", policy: "closest" },
      { address: "fdff:1000::2", policy: "closest" },
    ]);
    expect(told).toEqual([expect.stringContaining('10.30.0.3 of x.d.x1.d has the unknown policy "Underwater"')]);
  });

  test("an instance without an IPv6 address can be called over IPv4 [defect 18]", async () => {
    await jobs.put("x.d.x1.d", [record(0, { namespace_ip_v6: "<nil>" })]);
    expect(inForce()).toEqual({ "x.d.x1.d": ["0 192.0.2.2:50103 10.18.1.2"] });
  });

  test("an instance that is not deployed yet is nothing odd", async () => {
    await jobs.put("x.d.x1.d", [record(0), record(1, { namespace_ip: null, namespace_ip_v6: null, host_ip: null })]);
    expect([inForce(), told]).toEqual([{ "x.d.x1.d": ["0 192.0.2.2:50103 10.18.1.2 fc00::1:2"] }, []]);
  });
});

test("the newer record with a namespace address counts, also that of another job [behaviour 7, measured 8]", async () => {
  await jobs.put("x.d.x1.d", [record(0), record(1)]);
  const own = { IpType: "instance_ip", Address: "10.30.0.99", Address_v6: "fdff::99" };
  const moved = record(1, { service_ip: [own] });
  await jobs.put("y.d.y1.d", [moved]);
  expect(inForce()).toEqual({
    "x.d.x1.d": ["0 192.0.2.2:50103 10.18.1.2 fc00::1:2"],
    "y.d.y1.d": ["1 192.0.2.2:50103 10.18.1.3 fc00::1:3"],
  });
});

test("an instance that comes back under another worker id on the same node changes nothing [measured 7]", async () => {
  await jobs.put("x.d.x1.d", [record(0, { worker_id: "a" })]);
  const { generation } = store;
  await jobs.put("x.d.x1.d", [record(0, { worker_id: "b" })]);
  expect(store.generation).toBe(generation);
});

test("each result is one generation, in which nodes come and go with their instances [defect 32, remedy 15]", async () => {
  await jobs.put("x.d.x1.d", [record(0)]);
  const { generation } = store;
  await jobs.put("x.d.x1.d", [record(0, { host_ip: "192.0.2.9" })]);
  expect(store.generation).toBe(generation + 1);
  expect(store.snapshot().nodes.map(({ id }) => id)).toEqual(["192.0.2.9:50103"]);
  await jobs.remove(["x.d.x1.d"]);
  expect(store.snapshot()).toEqual({ nodes: [], services: [] });
});

test("a Closest address and one of a policy by its own name are what the cluster says [defect 43]", async () => {
  bound.set("x.d.x1.d", "random");
  const [, own] = record(0).service_ip;
  const service_ip = [
    { IpType: "Closest", Address: "10.30.0.2", Address_v6: "fdff:1000::2" },
    { IpType: "least-connections", Address: "10.30.0.3", Address_v6: "" },
    own,
  ];
  await jobs.put("x.d.x1.d", [record(0, { service_ip })]);
  expect(store.snapshot().services[0]?.addresses).toEqual([
    { address: "10.30.0.2", policy: "closest" },
    { address: "fdff:1000::2", policy: "closest" },
    { address: "10.30.0.3", policy: "least-connections" },
  ]);
});

test("a round-robin address is what the operator binds it to, as far as this node has the policy [defect 43]", async () => {
  const policies = () => store.snapshot().services[0]?.addresses.map(({ policy }) => policy);
  bound.set("x.d.x1.d", "closest");
  await jobs.put("x.d.x1.d", [record(0)]);
  expect(policies()).toEqual(["closest", "closest"]);
  bound.clear();
  bound.set("fdff:2000::1", "weighted").set("10.30.0.1", "underwater");
  await jobs.put("x.d.x1.d", [record(0)]);
  expect(policies()).toEqual(["round-robin", "weighted"]);
  expect(told).toEqual([
    "10.30.0.1 of x.d.x1.d is bound to the policy underwater, which this node does not have; it is round-robin",
  ]);
});

test("a node with an IPv6 underlay address is called by it [defect 15]", async () => {
  await jobs.put("x.d.x1.d", [record(0, { host_ip: "2001:DB8:0::2" })]);
  expect(store.snapshot().nodes).toMatchObject([
    { id: "[2001:db8::2]:50103", underlay: { address: "2001:db8::2", port: 50103 } },
  ]);
});

describe("instances of this node", () => {
  const addresses = { v4: "10.18.0.66", v6: "fc00::102" };

  test("are those that run here, whatever the cluster says of their addresses [defect 17, remedy 13]", async () => {
    here.set("x.d.x1.d 0", addresses);
    await jobs.put("x.d.x1.d", [record(0, { namespace_ip: null, namespace_ip_v6: null, host_ip: null })]);
    expect(inForce()).toEqual({ "x.d.x1.d": ["0 this-node 10.18.0.66 fc00::102"] });
  });

  test("stay when a result does not have them yet, and go when they do not run any more", async () => {
    here.set("x.d.x1.d 0", addresses);
    await jobs.put("x.d.x1.d", [record(0)]);
    await jobs.put("x.d.x1.d", [record(1)]);
    expect(inForce()["x.d.x1.d"]).toEqual([
      "1 192.0.2.2:50103 10.18.1.3 fc00::1:3",
      "0 this-node 10.18.0.66 fc00::102",
    ]);
    here.clear();
    await jobs.removeOwn("x.d.x1.d", 0);
    expect(inForce()["x.d.x1.d"]).toEqual(["1 192.0.2.2:50103 10.18.1.3 fc00::1:3"]);
  });

  test("do not come back from a cluster that is behind", async () => {
    const stale = record(0, { host_ip: "192.0.2.1", namespace_ip: "10.18.0.66", namespace_ip_v6: "fc00::102" });
    await jobs.put("x.d.x1.d", [stale]);
    expect([inForce(), told]).toEqual([{ "x.d.x1.d": [] }, []]);
  });
});

describe("what was saved", () => {
  /** A process that begins with empty tables and what the one before had saved. */
  async function restart(saved: readonly SavedJob[]): Promise<void> {
    await jobs.remove(jobs.names);
    told = [];
    jobs = newJobs();
    await jobs.restore(JSON.parse(JSON.stringify(saved)));
  }

  test("is in force again as it was, in one generation, with this node's own instances", async () => {
    here.set("x.d.x1.d 0", { v4: "10.18.0.66", v6: "fc00::102" });
    await jobs.put("x.d.x1.d", [record(0, { namespace_ip: null, host_ip: null }), record(1)]);
    const own = [RR, { IpType: "instance_ip", Address: "10.30.0.77", Address_v6: "" }];
    await jobs.put("y.d.y1.d", [record(7, { service_ip: own.slice(1), extra: "x" })]);
    const { nodes, services } = store.snapshot();
    const { saved } = jobs;
    const { generation } = store;
    await restart(saved);
    expect(store.generation).toBe(generation + 2); // all gone, and all back
    expect([store.snapshot(), told]).toEqual([{ nodes, services }, []]);
    expect(jobs.saved).toEqual(saved);
    expect(JSON.stringify(saved)).not.toContain("extra");
  });

  test("is what the cluster said last, and the answers of the cluster replace it", async () => {
    await jobs.put("x.d.x1.d", [record(0), record(1)]);
    await restart(jobs.saved);
    await jobs.put("x.d.x1.d", [record(2)]);
    expect(inForce()).toEqual({ "x.d.x1.d": ["2 192.0.2.2:50103 10.18.1.4 fc00::1:4"] });
    expect(jobs.saved).toMatchObject([{ name: "x.d.x1.d", instances: [{ instance_number: 2 }] }]);
  });

  test("changes with what is known, and not with each answer", async () => {
    await jobs.put("x.d.x1.d", [record(0)]);
    await jobs.put("x.d.x1.d", [record(0, { worker_id: "b" })]);
    expect(changes).toBe(1);
    await jobs.put("x.d.x1.d", [record(1)]);
    await jobs.remove(["x.d.x1.d"]);
    expect([changes, jobs.saved]).toEqual([3, []]);
  });

  test.each<[string, unknown]>([
    ["no object", 7],
    ["a long text", record(1, { host_ip: "1".repeat(1000) })],
    ["a nest", record(1, { service_ip: [[[[[]]]]] })],
    ["a node in the service ranges", record(1, { host_ip: "10.30.0.9" })],
    ["a negative number", record(1, { instance_number: -1 })],
    ["a port that is none", record(1, { host_port: 70_000 })],
  ])("is read as hostile: %s is left out, and told alone", async (_what, odd) => {
    await restart([{ name: "x.d.x1.d", instances: [odd, record(0)] }]);
    expect(inForce()).toEqual({ "x.d.x1.d": ["0 192.0.2.2:50103 10.18.1.2 fc00::1:2"] });
    expect(told[0]).toContain("left out of the saved jobs: ");
  });

  test("counts job by job when it cannot be in force as a whole", async () => {
    const own = { IpType: "instance_ip", Address: "10.30.0.99", Address_v6: "fdff::99" };
    const other = { name: "a name\nof two lines", instances: [record(5, { service_ip: [own] })] };
    await restart([{ name: "x.d.x1.d", instances: [record(0)] }, other]);
    expect(inForce()).toEqual({ "x.d.x1.d": ["0 192.0.2.2:50103 10.18.1.2 fc00::1:2"] });
    expect(told).toEqual([expect.stringContaining("is not in force")]);
  });

  test("says where the cluster knows an instance of this node to be", async () => {
    here.set("x.d.x1.d 0", { v4: "10.18.0.66", v6: "fc00::102" });
    await jobs.put("x.d.x1.d", [record(0, { namespace_ip: "", host_ip: "" })]);
    expect([jobs.hasOwn("x.d.x1.d", 0), jobs.isKnownAt("x.d.x1.d", 0, "10.18.0.66")]).toEqual([true, false]);
    await jobs.put("x.d.x1.d", [record(0, { namespace_ip: "10.18.0.66" })]);
    expect(jobs.isKnownAt("x.d.x1.d", 0, "10.18.0.66")).toBe(true);
  });
});

test("jobs are bound to other policies at once, in one generation", async () => {
  await jobs.put("x.d.x1.d", [record(0)]);
  await jobs.put("y.d.y1.d", [
    record(7, {
      service_ip: [
        { IpType: "RR", Address: "10.30.0.2" },
        { IpType: "instance_ip", Address: "10.30.0.99" },
      ],
    }),
  ]);
  const { generation } = store;
  bound.set("x.d.x1.d", "closest");
  await jobs.bindAnew();
  const policies = store.snapshot().services.map(({ addresses }) => addresses.map(({ policy }) => policy));
  expect(policies).toEqual([["closest", "closest"], ["round-robin"]]);
  expect([store.generation, told]).toEqual([generation + 1, []]);
});
