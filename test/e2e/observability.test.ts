// A running node seen from outside: Prometheus scrapes it, its health follows what happens, and its events tell what
// happened, in one lab in which a node is killed and a policy traps.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CLIENTS_MAX } from "../../src/control/page/page-stream.ts";
import { configFile, controlSocket, eventually, type Lab } from "../../src/lab/lab.ts";
import { nodeConfig, tablesOf } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { ConnectionsResult } from "../../src/lab/workload-protocol.ts";
import type { ExplanationReport } from "../../src/model/explanation-report.ts";
import type { PolicyDetailReport } from "../../src/model/module-reports.ts";
import type { CountersReport, EventReport, HealthReport } from "../../src/model/reports.ts";
import { turning } from "../support/hostile-policies.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { assemble } from "../support/wat.ts";

const NODE = "node-a";
const LISTEN = "127.0.0.1:9150";
const FOLDER = `/run/sapwood/${NODE}`;
const PROMETHEUS = "127.0.0.1:9090";
const SETTINGS = { observe: { listen: LISTEN, readyPeers: "all" } };
const TOPOLOGY = { ...DEMO, settings: SETTINGS };
const CROWD = 100;
const SILENT = 20;
/** All that they ask for would be three times as much. */
const MEMORY_MAX_BYTES = 128 * 2 ** 20;

describeLab("a running node, seen from outside", () => {
  let lab: Lab;
  let folder: string;
  let prometheus: SandboxProgram | undefined;
  let follower: SandboxProgram;
  let crowd: SandboxProgram | undefined;
  let memoryBefore: number;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "sapwood-observe-"));
    lab = await openLab(TOPOLOGY);
    follower = lab.startSapwood(NODE, ["events", "--follow", "--json", "--socket", controlSocket(NODE)]);
  });
  afterAll(async () => {
    await crowd?.stop();
    await prometheus?.stop();
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  test("Prometheus scrapes it, takes its alert rules, and answers queries about it", async () => {
    lab.startClient("a1", { kind: "load", addresses: [], held: Array<string>(8).fill("10.30.0.2"), pauseMs: 20 });
    const rules = new URL("../../contrib/prometheus/sapwood.rules.yaml", import.meta.url).pathname;
    const scrape = { job_name: "sapwood", scrape_interval: "1s", static_configs: [{ targets: [LISTEN] }] };
    const config = { global: { evaluation_interval: "1s" }, rule_files: [rules], scrape_configs: [scrape] };
    lab.sandbox.writeFile(`${FOLDER}/prometheus.yml`, JSON.stringify(config));
    prometheus = lab.sandbox.start(
      [
        "prometheus",
        `--config.file=${FOLDER}/prometheus.yml`,
        `--storage.tsdb.path=${FOLDER}/tsdb`,
        `--web.listen-address=${PROMETHEUS}`,
      ],
      NODE,
    );
    await eventually("Prometheus to have what it scraped", async () => (await query("up")).get("") === 1);
    await eventually("the reachable nodes", async () => {
      const states = await query('sum by (node) (sapwood_node_state{state="reachable"})');
      return ["node-b", "node-c", "node-d"].every((node) => states.get(node) === 1);
    });
    await eventually("the flows", async () => (await query("sum(sapwood_instance_flows)")).get("") === 8);
    expect((await query('sapwood_policy_calls_total{policy="round-robin"}')).get("round-robin")).toBe(8);
    const seconds = (await query("sapwood_node_round_trip_seconds")).get("node-b") ?? 0;
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(10);
    expect((await query('sum(sapwood_dropped_packets_total{reason="portZero"})')).get("")).toBe(0);
    expect((await query("max(sapwood_worker_cpu_seconds_total)")).get("")).toBeGreaterThan(0);
    expect((await query("sum(process_resident_memory_bytes)")).get("")).toBeGreaterThan(0);
    const { data } = await prometheusApi("rules");
    expect(data.groups[0]?.rules.map(({ health }) => health)).not.toContain("err");
  });

  test("the listener and the control socket show the same pages", async () => {
    const names = (text: string): string[] => [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1] ?? "");
    const byTcp = await curl(`http://${LISTEN}/metrics`);
    const bySocket = await curl("--unix-socket", controlSocket(NODE), "http://sapwood/metrics");
    expect(names(byTcp)).toContain("sapwood_packets_total");
    expect(names(bySocket)).toEqual(names(byTcp));
    expect(await curl("--header", "Host: rebound.example", `http://${LISTEN}/metrics`)).toMatch(/Host header must be/);
  });

  test("explain says what then becomes of a packet, and changes nothing", async () => {
    const before = await lab.report<CountersReport>(NODE, "counters");
    const told = await explain("10.30.0.5:80/tcp", "10.101.3.23:45000"); // an instance address: b3
    expect(told).toMatchObject({ verdict: "sent", flow: "opened", drop: null });
    expect(told.sent).toMatchObject([{ source: "10.30.1.5", destination: "10.41.3.7", node: "node-d" }]);
    const closest = await explain("10.30.0.1:80/tcp");
    expect(closest.choice).toMatchObject({ service: "B", policy: "closest" });
    expect(closest.choice?.candidates.filter(({ isChosen }) => isChosen)).toHaveLength(1);
    const unknown = await explain("10.30.77.77:80/udp");
    expect(unknown.drop).toMatchObject({
      reason: "unknownAddress",
      advice: expect.stringContaining("add the service"),
    });
    expect((await explain("[fdff:2000::1]:80")).verdict).toBe("sent");
    const { code, stdout } = await lab.sapwood(NODE, ["explain", "10.30.0.1:80/tcp"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/verdict +goes to another node\n[\s\S]*policy +closest, for service B\n[\s\S]*\* +\d/);
    const bad = await lab.sapwood(NODE, ["explain", "10.30.0.1"]);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain("10.30.0.2:80/tcp");

    const after = await lab.report<CountersReport>(NODE, "counters");
    expect(after.drops.egress.unknownAddress).toBe(before.drops.egress.unknownAddress);
    expect(after.counters.flowsOpened).toBe(before.counters.flowsOpened);
  });

  test("of a hundred who look at the page at once each is served or told why not, at once", async () => {
    const script = new URL("in-node/page-clients.mjs", import.meta.url).pathname;
    memoryBefore = (await query("sum(process_resident_memory_bytes)")).get("") ?? 0;
    const port = LISTEN.split(":").at(-1) ?? "";
    crowd = lab.sandbox.start([process.execPath, script, port, String(CROWD), String(SILENT)], NODE);
    await crowd.until("all answers", ({ stdout }) => stdout.includes("answered"));
    const answers = JSON.parse(crowd.stdout.slice("answered ".length).split("\n")[0] ?? "") as PageAnswer[];
    expect(answers.filter(({ statusCode }) => statusCode === 200)).toHaveLength(CLIENTS_MAX);
    const refusal = { statusCode: 503, message: expect.stringContaining(`At most ${CLIENTS_MAX}`), retryAfter: "30" };
    expect(answers.filter(({ statusCode }) => statusCode !== 200)).toEqual(Array(CROWD - CLIENTS_MAX).fill(refusal));
    // They stay, beside others who read nothing of what they ask for: packets and reports go their way.
    await connect(60);
    expect((await health("healthz")).ok).toBe(true);
  });

  test("a policy that traps is an event with what to do, and a metric", async () => {
    const module = join(folder, "traps.wasm");
    writeFileSync(module, assemble(turning({ choose: "(unreachable)" })));
    const { code, stderr } = await lab.sapwood(NODE, ["policy", "load", "round-robin", module]);
    expect(code, stderr).toBe(0);
    await connect(60);
    await eventually("the fault", async () => (await told("policy-faulty")).length > 0);
    const [fault] = await told("policy-faulty");
    expect(fault).toMatchObject({ subject: "round-robin", message: expect.stringContaining("unreachable") });
    expect(fault?.advice).toContain("sapwood policy rollback round-robin");
    expect(await told("policy-swapped")).toHaveLength(1);
    await eventually("the metric", async () => (await query("sapwood_policy_faulty == 1")).has("round-robin"));
    const { faults } = await lab.report<PolicyDetailReport>(NODE, "policies/round-robin");
    expect(faults.traps).toBeGreaterThan(0);
  });

  test("a change that is refused is an event, and the node stays ready", async () => {
    const bad = nodeConfig(TOPOLOGY, NODE, tablesOf(TOPOLOGY)).replace("fdff::105", "fdff::1::5");
    lab.sandbox.writeFile(configFile(NODE), bad);
    await eventually("the refusal", async () => (await told("reload-refused")).length > 0);
    const [refusal] = await told("reload-refused");
    expect(refusal?.message).toContain("fdff::1::5");
    expect((await health("readyz")).ok).toBe(true);
  });

  test("a node that is killed is an event, a metric, and what is not ready", async () => {
    const isOfD = ({ subject }: EventReport): boolean => subject === "node-d";
    await eventually("all to be heard", async () => (await health("readyz")).ok);
    lab.proxy("node-d").kill("SIGKILL");
    await lab.proxy("node-d").ended;
    await eventually("the node to be lost", async () => (await told("node-lost")).some(isOfD));
    const notReady = [{ name: "peers", ok: false, message: "1 of 3 are lost: node-d" }];
    // A machine that is busy enough keeps others from answering in time.
    await eventually("the others to be heard", async () =>
      isDeepStrictEqual(
        (await health("readyz")).checks.filter(({ ok }) => !ok),
        notReady,
      ),
    );
    expect((await health("healthz")).ok).toBe(true);
    await eventually("the metric", async () => (await query('sapwood_node_state{state="lost"} == 1')).has("node-d"));
    const shown = await lab.sapwood(NODE, ["events"]);
    expect(shown.stdout).toMatch(/node-lost +Node node-d does not answer any more\.\n +See whether node node-d/);

    const found = async (): Promise<number> => (await told("node-found")).filter(isOfD).length;
    const before = await found();
    await lab.startProxy("node-d");
    await eventually("the node to be back", async () => (await found()) > before);
    await eventually("all to be heard", async () => (await health("readyz")).ok);
  });

  test("clients that never read are ended, and cost the proxy next to nothing", async () => {
    await crowd?.until("the silent ones to be ended", ({ stdout }) => stdout.includes("ended"));
    const memory = Number(/^process_resident_memory_bytes (\S+)/m.exec(await curl(`http://${LISTEN}/metrics`))?.[1]);
    expect(memory - memoryBefore).toBeLessThan(MEMORY_MAX_BYTES);
    await connect(60);
  });

  test("who follows is told the same events, each once", async () => {
    const all = await lab.report<readonly EventReport[]>(NODE, "events");
    await follower.until("all events", ({ stdout }) => stdout.trim().split("\n").length >= all.length);
    const followed = follower.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as EventReport);
    expect(followed.slice(0, all.length)).toEqual(all);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  });

  async function connect(count: number): Promise<void> {
    const job = { kind: "connections", address: "10.30.0.2", count, concurrency: 1 } as const;
    expect((await lab.ask<ConnectionsResult>("a1", job)).failures).toEqual([]);
  }

  async function told(kind: string): Promise<readonly EventReport[]> {
    const events = await lab.report<readonly EventReport[]>(NODE, "events");
    return events.filter((event) => event.kind === kind);
  }

  async function explain(to: string, from?: string): Promise<ExplanationReport> {
    return await lab.report(NODE, `explain?${new URLSearchParams({ to, ...(from !== undefined && { from }) })}`);
  }

  async function curl(...args: string[]): Promise<string> {
    return await lab.sandbox.expect(["curl", "--silent", "--show-error", "--max-time", "30", ...args], NODE);
  }

  async function health(page: "healthz" | "readyz"): Promise<HealthReport> {
    return JSON.parse(await curl(`http://${LISTEN}/${page}`)) as HealthReport;
  }

  async function prometheusApi(path: string): Promise<PrometheusAnswer> {
    const { code, stdout } = await lab.sandbox.run(
      ["curl", "--silent", "--fail", `http://${PROMETHEUS}/api/v1/${path}`],
      NODE,
    );
    return code === 0 ? JSON.parse(stdout) : { data: { result: [], groups: [] } };
  }

  /** Values of a query, by policy or node. */
  async function query(expression: string): Promise<Map<string, number>> {
    const { data } = await prometheusApi(`query?query=${encodeURIComponent(expression)}`);
    return new Map(data.result.map(({ metric, value }) => [metric.policy ?? metric.node ?? "", Number(value[1])]));
  }
});

interface PageAnswer {
  readonly statusCode?: number;
  readonly message?: string;
}

interface PrometheusAnswer {
  readonly data: {
    readonly result: readonly { readonly metric: Record<string, string>; readonly value: [number, string] }[];
    readonly groups: readonly { readonly rules: readonly { readonly health: string }[] }[];
  };
}
