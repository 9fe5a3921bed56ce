// Attacks on a proxy that runs, while others use it: through its control socket, with a module, and with fragments that it
// has to translate. One lab; a load goes on all the time.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { controlSocket, type Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO, instance, type LabWorkload, NODES, type Topology } from "../../src/lab/topology.ts";
import type { LoadReport } from "../../src/lab/workload-protocol.ts";
import type { PolicyDetailReport } from "../../src/model/module-reports.ts";
import type { StatusReport } from "../../src/model/reports.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { assembleAny, policyText } from "../support/wat.ts";

const REQUESTS = fileURLToPath(new URL("in-workload/hostile-requests.mjs", import.meta.url));
const ECHO = fileURLToPath(new URL("in-workload/udp-echo.mjs", import.meta.url));
const NODE = "node-a";
const B1 = ["10.30.0.3", "fdff::3"];
/** An instance that has IPv4 alone, called over IPv6: its answers change their family on the client's node. */
const B4: LabWorkload = { name: "b4", node: "node-b", addresses: { v4: "10.18.3.44", v6: "fc00::18:3:44" } };
const B4_CALLED = "fdff::44";
/** Its connections are what might leak. */
const OTHER: LabWorkload = { name: "a2", node: NODE, addresses: { v4: "10.101.3.24", v6: "fc00::101:3:24" } };
const FRAGMENTED = 4000;
const DATAGRAMS = 100;
const NOBODY = "65534";

const TOPOLOGY: Topology = {
  ...DEMO,
  nodes: NODES.slice(0, 2),
  workloads: [...DEMO.workloads.slice(0, 2), OTHER, B4],
  services: [
    ...DEMO.services.map((service) => ({ ...service, instances: service.instances.slice(0, 1) })),
    { name: "other", addresses: [], instances: [instance(1, OTHER, ["10.30.1.24", "fdff::124"])] },
    {
      name: "four",
      addresses: [],
      instances: [{ ...instance(1, B4, ["10.30.0.44", B4_CALLED]), namespaceAddresses: [B4.addresses.v4] }],
    },
  ],
};

describeLab("a proxy that is attacked while others use it", () => {
  let lab: Lab;
  let load: SandboxProgram;
  let pid: number;

  beforeAll(async () => {
    lab = await openLab(TOPOLOGY);
    load = lab.startClient(OTHER.name, { kind: "load", addresses: B1, held: B1 });
    ({ pid } = await lab.report<StatusReport>(NODE, "status"));
    await expectServed();
  });

  afterAll(() => lab?.close());

  test("what no honest client sends to the control socket is refused, and others are answered meanwhile", async () => {
    // A user without rights who may open the socket.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await lab.sandbox.expect(["chgrp", NOBODY, controlSocket(NODE)]);
    const user = isRoot ? ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"] : [];
    const argv = [...user, process.execPath, REQUESTS, controlSocket(NODE)];
    const { statuses, meanwhile } = JSON.parse(await lab.sandbox.expect(argv, NODE, "", 600_000)) as {
      statuses: Record<string, number | string>;
      meanwhile: number;
    };
    expect(statuses).toEqual({
      "deep JSON": 422,
      "deep YAML": 422,
      "deep blocks": 422,
      "20,000 keys": 422,
      "aliases of aliases": 422,
      "a prototype": 422,
      "a policy called constructor": 404,
      "a module of nothing": 422,
      "a body that is not there": 413,
      "no UTF-8": 422,
      "a long text full of mistakes": 422,
    });
    expect(meanwhile).toBeGreaterThan(10);
    await expectServed();
  });

  test.each([
    ["with a table of 4 GiB", policyText({}, "(table 1000000000 1000000000 funcref)")],
    [
      "that lets its table grow",
      `${policyText({}, "(table 1 65536 funcref)").slice(0, -1)} (func (drop (table.grow 0 (table.get 0 (i32.const 0)) (i32.const 1)))))`,
    ],
    ["that does not return when it is tried", endless("update")],
    [
      "that does not return when it is started",
      `${policyText().slice(0, -1)} (func $start (loop $l (br $l))) (start $start))`,
    ],
  ])("a module %s is refused, and connections go on", async (_what, text) => {
    const file = "/run/sapwood/hostile.wasm";
    const base64 = Buffer.from(assembleAny(text)).toString("base64");
    await lab.sandbox.expect(["sh", "-c", `base64 -d >${file}`], undefined, base64);
    const before = await policy();
    const { code, stderr } = await lab.sapwood(NODE, ["policy", "load", "round-robin", file]);
    expect(code, stderr).toBe(1);
    expect(stderr).toMatch(/^sapwood: [^\n]+\n$/);
    expect((await policy()).module).toEqual(before.module);
    await expectServed();
  });

  test("a client gets every byte of fragmented answers that change their family, and none of another's", async () => {
    const argv = [process.execPath, ECHO, B4_CALLED, String(FRAGMENTED), String(DATAGRAMS)];
    const echoed = lab.sandbox.expect(argv, "a1", "", 120_000);
    await expectServed();
    expect(JSON.parse(await echoed)).toEqual({ answered: DATAGRAMS, wrong: 0, errors: [] });
  });

  async function policy(): Promise<PolicyDetailReport> {
    return await lab.report<PolicyDetailReport>(NODE, "policies/round-robin");
  }

  /** The other workload's connections are those that it had, and answered; the proxy is the one that it was. */
  async function expectServed(): Promise<void> {
    const count = load.stdout.split("\n").length;
    load.write("\n");
    await load.until("a report of the load", ({ stdout }) => stdout.split("\n").length > count);
    const { held, failures } = JSON.parse(load.stdout.split("\n").at(-2) ?? "") as LoadReport;
    expect([...failures, ...held.flatMap((one) => one.failures)]).toEqual([]);
    for (const { sources } of held) expect(sources.length).toBeLessThanOrEqual(1);
    expect((await lab.report<StatusReport>(NODE, "status")).pid).toBe(pid);
  }
});

function endless(name: "update"): string {
  return policyText({
    [name]: `(func (export "${name}") (param i32 i32) (result i32) (loop $l (br $l)) (i32.const 0))`,
  });
}
