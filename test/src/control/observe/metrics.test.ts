// What a proxy made of constants shows as metrics, judged by Prometheus' own tool.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Counter } from "../../../../assembly/shared/counters.ts";
import { Metrics } from "../../../../src/control/observe/metrics.ts";
import type { MetricsSource } from "../../../../src/control/observe/metrics-source.ts";
import { CHOICE_BOUNDS_US, PolicyBoard } from "../../../../src/dataplane/modules/policy-board.ts";
import type { InstanceReport } from "../../../../src/model/reports.ts";
import { FakeSource } from "../../../support/control-source.ts";
import { filesBelow, text as fileText } from "../../../support/source-files.ts";

const COUNTERS = Object.keys(Counter).filter((key) => !/^\d+$/.test(key) && key !== "count");
const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;

class ObservedSource extends FakeSource implements MetricsSource {
  countersRead = 0;
  shown: InstanceReport[] = super.instances();

  override counters() {
    this.countersRead += 1;
    const counters = Object.fromEntries(COUNTERS.map((name, i) => [name, i]));
    return { ...super.counters(), counters: { ...counters, egressPackets: 12, egressBytes: 0 } };
  }

  override instances() {
    return this.shown.map((one) => ({ ...one, namespaceAddresses: [], instanceAddresses: [] }));
  }

  probeLoss(node: string) {
    return node === "node-d" ? 0.25 : null;
  }

  batches() {
    return { tun: [1, 2, 3, 0, 0, 0, 4], udp: [0, 0, 0, 0, 0, 0, 0] };
  }

  policyTimes() {
    const classes = Array.from(new PolicyBoard(PolicyBoard.create(1).buffer).times(0, 0));
    return [{ policy: "closest", classes: classes.map((_, i) => (i < 3 ? 2 : 0)), sumSeconds: 0.5 }];
  }

  workerCpuMs() {
    return [1500, undefined];
  }

  reloads() {
    return { applied: 3, refused: 1 };
  }
}

async function shown(source = new ObservedSource()): Promise<Map<string, string>> {
  const text = await new Metrics(source).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]));
}

describe("metrics", () => {
  test("tell counters, drops by reason, nodes, policies and workers", async () => {
    const series = await shown();
    const expected = {
      'sapwood_packets_total{direction="egress"}': "12",
      "sapwood_flows_opened_total": String(COUNTERS.indexOf("flowsOpened")),
      'sapwood_dropped_packets_total{direction="egress",reason="noInstance"}': "3",
      'sapwood_kernel_dropped_total{reason="tunDrops"}': "17",
      'sapwood_worker_cpu_seconds_total{worker="0"}': "1.5",
      'sapwood_worker_restarts_total{worker="1"}': "2",
      'sapwood_node_state{node="node-d",state="unknown"}': "1",
      'sapwood_node_state{node="node-d",state="lost"}': "0",
      'sapwood_node_probe_loss_ratio{node="node-d"}': "0.25",
      'sapwood_instance_flows{service="b",instance="2",node="node-c"}': "5",
      'sapwood_policy_calls_total{policy="closest"}': "640",
      'sapwood_policy_faults_total{policy="closest",fault="outOfRange"}': "3",
      'sapwood_policy_faulty{policy="closest"}': "1",
      'sapwood_reloads_total{result="refused"}': "1",
      "sapwood_last_reload_successful": "0",
      "sapwood_table_generation": "7",
      'sapwood_provider_odd_total{what="record"}': "4",
      'sapwood_provider_odd_total{what="message"}': "1",
      "sapwood_provider_connected": "0",
      'sapwood_offload_enabled{offload="udp-gso"}': "0",
    };
    expect(Object.fromEntries([...series].filter(([name]) => Object.hasOwn(expected, name)))).toEqual(expected);
  });

  test("have every counter there is", async () => {
    const names = [...(await shown()).keys()].map((name) => name.replace(/\{.*/, ""));
    const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const isTraffic = (name: string): boolean => /^(?:egress|ingress|local)(?:Packets|Bytes)$/.test(name);
    const missing = COUNTERS.filter((name) => !isTraffic(name) && !names.includes(`sapwood_${snake(name)}_total`));
    expect(missing).toEqual([]);
  });

  test("count instances by their health", async () => {
    const series = await shown();
    expect(series.get('sapwood_instances{health="unhealthy"}')).toBe("1");
    expect(series.get('sapwood_instances{health="healthy"}')).toBe("0");
  });

  test("count the classes of a histogram up", async () => {
    const series = await shown();
    const bucket = (le: string): string | undefined =>
      series.get(`sapwood_policy_choice_seconds_bucket{policy="closest",le="${le}"}`);
    expect([bucket("0.000001"), bucket("0.000002"), bucket("0.000005"), bucket("+Inf")]).toEqual(["2", "4", "6", "6"]);
    expect(CHOICE_BOUNDS_US.map((us) => bucket(String(us / 1e6))).includes(undefined)).toBe(false);
    expect(series.get('sapwood_policy_choice_seconds_count{policy="closest"}')).toBe("6");
    const batches = ["1", "4", "64", "+Inf"].map((le) =>
      series.get(`sapwood_batch_size_bucket{queue="tun",le="${le}"}`),
    );
    expect(batches).toEqual(["1", "6", "10", "10"]);
  });

  test("have a bounded number of series, and say what they leave out", async () => {
    const source = new ObservedSource();
    const [one] = source.shown;
    if (one === undefined) throw new Error("no instance");
    source.shown = Array.from({ length: 5000 }, (_, number) => ({ ...one, number, flows: number % 7 }));
    const series = await shown(source);
    expect([...series.keys()].filter((name) => name.startsWith("sapwood_instance_flows{"))).toHaveLength(1000);
    expect(series.get("sapwood_instances_left_out")).toBe("4000");
    const flows = source.shown.reduce((sum, instance) => sum + instance.flows, 0);
    const told = [...series].reduce(
      (sum, [name, value]) => sum + (name.startsWith("sapwood_instance_flows{") ? Number(value) : 0),
      Number(series.get("sapwood_instances_left_out_flows")),
    );
    expect(told).toBe(flows);
  });

  test("are read once per answer, and anew for the next", async () => {
    const source = new ObservedSource();
    const metrics = new Metrics(source);
    const before = source.countersRead;
    await Promise.all([metrics.text(), metrics.text()]);
    expect(source.countersRead).toBe(before + 1);
    await metrics.text();
    expect(source.countersRead).toBe(before + 2);
  });

  test("describe every counter by the words of docs/counters.md", async () => {
    const text = await new Metrics(new ObservedSource()).text();
    expect(text).toContain("# HELP sapwood_flows_expired_total Flows ended by their idle timeout.\n");
  });

  test.skipIf(!hasPromtool)("are as Prometheus wants them (promtool check metrics)", async () => {
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], {
      input: await new Metrics(new ObservedSource()).text(),
      encoding: "utf8",
    });
    expect(stdout + stderr).toBe("");
    expect(status).toBe(0);
  });
});

describe("contrib", () => {
  const files = ["contrib/grafana", "contrib/prometheus"].flatMap((folder) => filesBelow(folder));

  test.each(files)("%s names only metrics that there are", async (file) => {
    const known = new Set([...(await shown()).keys()].map((name) => name.replace(/\{.*/, "")));
    const named = new Set(fileText(file).match(/\bsapwood_[a-z_]+/g));
    expect(named.size).toBeGreaterThan(5);
    expect([...named].filter((name) => !known.has(name))).toEqual([]);
  });

  test.skipIf(!hasPromtool)("the alert rules are good (promtool check rules)", () => {
    const rules = new URL("../../../../contrib/prometheus/sapwood.rules.yaml", import.meta.url).pathname;
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "rules", rules], { encoding: "utf8" });
    expect(status, stdout + stderr).toBe(0);
  });

  test.skipIf(!hasPromtool)(
    "instances that are unhealthy raise an alert, also when they are tried again (promtool test rules)",
    () => {
      const rules = new URL("../../../../contrib/prometheus/sapwood.rules.yaml", import.meta.url).pathname;
      const folder = mkdtempSync(join(tmpdir(), "sapwood-rules-"));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const file = join(folder, "test.yaml");
      const alert = JSON.stringify({
        exp_labels: { severity: "warning", health: "unhealthy", instance: "node-a" },
        exp_annotations: {
          summary: "1 instances are unhealthy, as node-a knows.",
          action: "sapwood instances says which ones and why.",
        },
      });
      writeFileSync(
        file,
        `
rule_files: [${rules}]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - { series: 'sapwood_instances{health="unhealthy", instance="node-a"}', values: "1 0 1 0 1 0 1 0 1 0 0 0 0 0 0 0 0 0 0" }
      - { series: 'sapwood_instances{health="avoided", instance="node-a"}', values: "3x18" }
    alert_rule_test:
      - { eval_time: 45s, alertname: SapwoodInstancesUnhealthy, exp_alerts: [] }
      - { eval_time: 2m, alertname: SapwoodInstancesUnhealthy, exp_alerts: [${alert}] }
      - { eval_time: 4m15s, alertname: SapwoodInstancesUnhealthy, exp_alerts: [] }
      - { eval_time: 4m, alertname: SapwoodInstancesAvoided, exp_alerts: [] }
`,
      );
      const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", file], { encoding: "utf8" });
      expect(status, stdout + stderr).toBe(0);
    },
  );
});
