// Policies and engines that behave when they are tried and turn against the proxy later: each costs at most the choice
// of a flow, and connections that are there stay.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadReport } from "../../bench/swap/traffic.ts";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import { tablesText } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { ConnectionsResult, LoadReport } from "../../src/lab/workload-protocol.ts";
import type { EngineReport, PolicyDetailReport } from "../../src/model/module-reports.ts";
import type { StatusReport } from "../../src/model/reports.ts";
import { faultyEngines } from "../support/faulty-engines.ts";
import { turning } from "../support/hostile-policies.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { ONE_SERVER } from "../support/topologies.ts";
import { EGRESS, SWEEP, turningLater } from "../support/turning-engines.ts";
import { assemble } from "../support/wat.ts";

const NODE = "node-a";
const POLICY = "round-robin";
const ADDRESS = "10.30.0.2";
const HELD = Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? ADDRESS : "fdff:2000::1"));
const CONNECTIONS = 60; // more than a hostile policy waits for

const ENDLESS = "(loop $on (br $on))"; // of a policy

const NOT_RETURNED = "did not return, and was taken out of force";

/** Engines that pass their self-test, whose clock is far from that of a proxy that has just been started. */
const TURNING = [
  {
    what: "traps",
    fault: turningLater(EGRESS, "unreachable();"),
    says: "was taken out of force: The engine failed: RuntimeError: unreachable.",
  },
  { what: "does not return", fault: turningLater(EGRESS, "while (true) {}"), says: NOT_RETURNED },
  {
    what: "does not return before it says that it is in a call",
    fault: turningLater(SWEEP, "while (true) {}"),
    says: NOT_RETURNED,
  },
];

describeLab("a module that turns hostile under load", () => {
  let lab: Lab;
  let folder: string;
  let load: SandboxProgram;
  let holders: string[];
  let turningEngines: ReturnType<typeof faultyEngines>;

  beforeAll(async () => {
    turningEngines = faultyEngines(TURNING.map(({ fault }) => fault));
    folder = mkdtempSync(join(tmpdir(), "sapwood-hostile-"));
    lab = await openLab({ ...ONE_SERVER, settings: { tun: { queues: 2 } } });
    load = lab.startClient("a1", { kind: "load", addresses: [], held: HELD, pauseMs: 20 });
    holders = (await heldReport()).map(({ instances }) => instances[0] ?? "");
  });

  afterAll(async () => {
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  test.each([
    ["traps", turning({ choose: "(unreachable)" }), "traps", /choose: unreachable/],
    [
      "answers what is no candidate",
      turning({ choose: "(return (i32.const 17))" }),
      "outOfRange",
      /choose answered 17/,
    ],
    ["answers none", turning({ choose: "(return (i32.const -1))" }), "declined", /choose answered -1/],
    [
      "takes all memory it gets",
      turning({
        choose: "(drop (memory.grow (i32.const 1))) (if (i32.gt_u (memory.size) (i32.const 3)) (then (unreachable)))",
      }),
      "traps",
      /unreachable/,
    ],
  ] as const)(
    "and %s: the engine chooses instead, and the policy is shown as faulty",
    async (_what, source, kind, says) => {
      await loadPolicy(source);
      await serveEverybody();
      const { state, faults, lastError } = await policy();
      expect(state).toBe("faulty");
      expect(faults[kind]).toBeGreaterThan(0);
      expect(lastError?.message).toMatch(says);
      expect(await restarts()).toBe(0);
    },
  );

  test.each([
    ["choose", turning({ choose: ENDLESS })],
    ["update", turning({ update: ENDLESS })],
  ])(
    "and does not return from %s: the worker is replaced, and the policy before is in force again",
    async (_call, source) => {
      await reset();
      const before = await policy();
      const restartsBefore = await restarts();
      await loadPolicy(source);
      let weight = 1;
      await eventually("the policy to be taken out of force", async () => {
        await serveEverybody();
        weight += 1;
        await setWeights(weight); // so that update is called
        return (await policy()).faults.overdue > 0;
      });
      await serveEverybody();
      const { module, state, lastError } = await policy();
      expect(module).toEqual(before.module);
      expect(state).toBe("faulty");
      expect(lastError?.message).toBe("did not return within 50 ms, and was taken out of force");
      expect(await restarts()).toBeGreaterThan(restartsBefore);
    },
  );

  test("and does not return three times within a minute: it is banned", async () => {
    await reset();
    const file = writeModule(turning({ choose: ENDLESS }, "(func)"));
    let answer = "";
    for (let i = 0; i < 4; i++) {
      const { code, stderr } = await lab.sapwood(NODE, ["policy", "load", POLICY, file]);
      answer = stderr;
      if (code !== 0) break;
      await eventually("the policy to be taken out of force", async () => {
        await serveEverybody();
        return (await policy()).module?.source !== file;
      });
    }
    expect(answer).toMatch(/is banned until the proxy ends: it was taken out of force 3 times within a minute/);
    await serveEverybody();
  });

  test.each(TURNING.map((one) => [one.what, one] as const))(
    "an engine that passes its self-test and later %s is replaced by the one before",
    async (_what, { says, fault }) => {
      const binary = (await turningEngines).get(fault) as Uint8Array;
      const file = join(folder, "engine.wasm");
      writeFileSync(file, binary);
      const { code, stderr } = await lab.sapwood(NODE, ["engine", "load", file]);
      // The load that goes on may have it fail before the command has its answer.
      if (code !== 0) expect(stderr).toBe(`sapwood: The engine module ${says.replace(/\.$/, "")}.\n`);
      await serveEverybody();
      const engine = () => lab.report<EngineReport>(NODE, "engine");
      // Connections may all be those of the other worker, which has not yet swept.
      await eventually("the engine before to be in force", async () => (await engine()).module.source === "built-in");
      expect((await engine()).lastError?.message).toBe(says);
      await serveEverybody();
    },
  );

  /** Connections that began before stay where they are, and new ones are served. */
  async function serveEverybody(): Promise<void> {
    const opened = await lab.ask<ConnectionsResult>("a1", {
      kind: "connections",
      address: ADDRESS,
      count: CONNECTIONS,
      concurrency: 4,
    });
    expect(opened.failures).toEqual([]);
    const held = await heldReport();
    expect(held.flatMap(({ failures }) => failures)).toEqual([]);
    expect(held.map(({ instances }) => [...new Set(instances)])).toEqual(holders.map((holder) => [holder]));
  }

  async function policy(): Promise<PolicyDetailReport> {
    return await lab.report<PolicyDetailReport>(NODE, `policies/${POLICY}`);
  }

  async function restarts(): Promise<number> {
    const { workers } = await lab.report<StatusReport>(NODE, "status");
    return workers.reduce((sum, worker) => sum + worker.restarts, 0);
  }

  function writeModule(source: string): string {
    const file = join(folder, "hostile.wasm");
    writeFileSync(file, assemble(source));
    return file;
  }

  async function loadPolicy(source: string): Promise<void> {
    const { code, stderr } = await lab.sapwood(NODE, ["policy", "load", POLICY, writeModule(source)]);
    expect(code, stderr).toBe(0);
  }

  async function setWeights(weight: number): Promise<void> {
    const services = ONE_SERVER.services.map((service) => ({
      ...service,
      instances: service.instances.map((one) => ({ ...one, weight })),
    }));
    lab.sandbox.writeFile("/run/sapwood/weights.yaml", tablesText(NODE, { nodes: [], services }));
    const { code, stderr } = await lab.sapwood(NODE, ["apply", "--merge", "/run/sapwood/weights.yaml"]);
    expect(code, stderr).toBe(0);
  }

  /** Back to the module of the package. */
  async function reset(): Promise<void> {
    while ((await policy()).previous !== null) await lab.sapwood(NODE, ["policy", "rollback", POLICY]);
  }

  /** What the kept connections did since the last report, once each has got answers. */
  async function heldReport(): Promise<LoadReport["held"]> {
    let held: LoadReport["held"] = [];
    await eventually("all kept connections to be answered", async () => {
      ({ held } = await loadReport(load));
      return held.every(({ instances, failures }) => instances.length + failures.length > 0);
    });
    return held;
  }
});
