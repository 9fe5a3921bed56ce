// A proxy made of constants, for tests of the control socket and of the commands that ask it.

import type { ControlParts } from "../../src/control/api/api.ts";
import { ChangeGate } from "../../src/control/api/change-gate.ts";
import type { ModuleOrder } from "../../src/control/modules/module-control.ts";
import { ByteStream } from "../../src/control/observe/byte-stream.ts";
import type { CaptureRequest } from "../../src/control/observe/capture-request.ts";
import { LineStream } from "../../src/control/observe/line-stream.ts";
import { Page } from "../../src/control/observe/pages.ts";
import type { DryRunReport, EngineReport, PolicyDetailReport, PolicyReport } from "../../src/model/module-reports.ts";
import type {
  AppliedReport,
  DifferenceReport,
  FlowQuery,
  InstanceReport,
  PingReport,
  StatusReport,
  TrafficOrder,
  TrafficReport,
} from "../../src/model/reports.ts";
import type { OffloadState } from "../../src/sys/offload.ts";
import {
  DIFFERENCE,
  DOCUMENT,
  DRY_RUN,
  ENGINE,
  EVENT,
  EXPLANATION,
  FLOW,
  KEY,
  LISTED,
  NO_MODULE,
  OFFLOADS,
  PING,
  POLICY,
  QUESTION,
  STATUS,
} from "./sample-reports.ts";

/** Remembers what it was asked for. */
export class FakeSource {
  readonly flowQueries: FlowQuery[] = [];
  readonly applied: string[] = [];
  readonly merged: string[] = [];
  readonly switched: string[] = [];
  readonly questionWaits: number[] = [];
  readonly refused: string[] = [];
  readonly explained: string[] = [];
  trafficLooks = 0;
  readonly pinged: string[] = [];
  readonly captured: CaptureRequest[] = [];
  /** Orders about modules, with the first bytes and the source of what was sent. */
  readonly modules: string[] = [];
  failure: Error | undefined;
  takeovers = 0;
  readonly changes = new ChangeGate();
  /** Events come faster than anybody reads them. */
  isFlooding = false;

  /** As the control socket is handed the parts of a proxy. */
  get parts(): ControlParts {
    const source = this;
    return {
      takeover: {
        begin: () => {
          this.takeovers += 1;
          if (this.failure !== undefined) throw this.failure;
        },
      },
      changes: this.changes,
      status: () => this.status(),
      reporter: this,
      traffic: { report: (order) => this.traffic(order) },
      captures: {
        open: (request) => {
          this.captured.push(request);
          return new ByteStream("application/x-pcapng", (sink) => {
            sink.write(Buffer.from("bytes"));
            sink.end();
            return () => {};
          });
        },
      },
      observation: {
        pages: { page: async (path) => page(path) },
        events: { all: () => [EVENT] },
        explainer: {
          explain: async (to, from) => {
            this.explained.push(`${to} from ${from}`);
            return EXPLANATION;
          },
        },
        pinger: { ping: (to) => this.ping(to) },
        followEvents: () =>
          new LineStream((write) => {
            write(EVENT);
            const flood = this.isFlooding ? setInterval(() => write("x".repeat(100_000)), 1) : undefined;
            return () => {
              clearInterval(flood);
              this.refused.push("left");
            };
          }),
      },
      tables: {
        applyText: async (text, allowEmpty) =>
          this.#take(allowEmpty ? `${text}, may be empty` : `${text}`, this.applied),
        mergeText: async (text, allowEmpty) =>
          this.#take(allowEmpty ? `${text}, may be empty` : `${text}`, this.merged),
        previewText: async (text, allowEmpty) => this.#preview(`${text}${allowEmpty ? " even if empty" : ""}`),
        previewMerge: async (text, allowEmpty) => {
          return this.#preview(`the merge of ${text}${allowEmpty ? " even if empty" : ""}`);
        },
        drain: async ({ node, service, instance, draining }) => {
          return this.#take(`${draining ? "drain" : "undrain"} ${node} ${service} ${instance}`, this.merged);
        },
      },
      questions: {
        next: async (waitMs) => {
          this.questionWaits.push(waitMs);
          return [QUESTION];
        },
        refuse: (addresses) => {
          if (this.failure !== undefined) throw this.failure;
          this.refused.push(...addresses);
        },
      },
      offloads: {
        get states() {
          return source.offloads();
        },
        set: (name, isOn) => {
          if (this.failure !== undefined) throw this.failure;
          this.switched.push(`${name} ${isOn}`);
        },
      },
      key: () => ({
        report: () => KEY,
        activateNextKey: async () => {
          this.#order("activate the next key");
          return KEY;
        },
      }),
      modules: this,
    };
  }

  status(): StatusReport {
    if (this.failure !== undefined) throw this.failure;
    return STATUS;
  }

  services() {
    return [
      { service: "b", address: "10.30.0.2", policy: "round-robin", candidates: 3, draining: 1 },
      { service: "b", address: "fdff:1000::1", policy: "closest", candidates: 3, draining: 1 },
    ];
  }

  instances(): InstanceReport[] {
    return [
      {
        service: "b",
        number: 2,
        node: "node-c",
        isLocal: false,
        namespaceAddresses: ["10.21.3.2", "fc00::21:3:2"],
        instanceAddresses: ["10.30.0.4", "fdff::4"],
        weight: 1,
        draining: true,
        flows: 5,
        health: "unhealthy",
        healthAgeMs: 12_000,
        healthReason: "refused the connection (TCP port 80)",
      },
    ];
  }

  nodes() {
    const underlay = { address: "192.0.2.3", port: 50103 };
    return [
      {
        id: "node-c",
        isLocal: false,
        underlay,
        encryption: "wireguard" as const,
        publicKey: KEY.publicKey,
        state: "reachable" as const,
        stateAgeMs: 65_000,
        rttMs: 0.25,
        distanceKm: 12.5,
        lastReplyAgeMs: 300,
        mtu: 1372,
        instances: 1,
      },
      {
        id: "node-d",
        isLocal: false,
        underlay,
        encryption: "none" as const,
        publicKey: null,
        state: "unknown" as const,
        stateAgeMs: null,
        rttMs: null,
        distanceKm: null,
        lastReplyAgeMs: null,
        mtu: null,
        instances: 0,
      },
    ];
  }

  flows(query: FlowQuery) {
    this.flowQueries.push(query);
    return { matching: 3, flows: [FLOW] };
  }

  counters() {
    return {
      counters: { egressPackets: 12, egressBytes: 0 },
      drops: { egress: { noInstance: 3, portZero: 0 }, ingress: { noInstance: 0, portZero: 0 } },
      kernel: { udpReceiveDrops: 0, tunDrops: 17 },
    };
  }

  offloads(): readonly OffloadState[] {
    return OFFLOADS;
  }

  traffic({ by, limit }: TrafficOrder): TrafficReport {
    this.trafficLooks += 1;
    const isFirst = this.trafficLooks === 1;
    const rates = isFirst ? { outPerSecond: null, inPerSecond: null } : { outPerSecond: 1500, inPerSecond: 0.5 };
    const rows = Array.from({ length: Math.min(limit, 10_000) }, (_, i) => ({
      ...{ service: `service-${i}`, instance: by === "instance" ? 1 : null, node: by === "instance" ? "node-c" : null },
      ...{ instances: 3, flows: 10_000 - i, ...rates },
    }));
    const totals = { outPackets: 1500, outBytes: 187_500, inPackets: 0, inBytes: 0, dropped: 2 };
    return { overMs: isFirst ? null : 1000, totals: isFirst ? null : totals, rowCount: 10_000, rows };
  }

  /** Every second round trip is lost. */
  async ping(to: string): Promise<PingReport> {
    if (this.failure !== undefined) throw this.failure;
    this.pinged.push(to);
    return { ...PING, to, rttMs: this.pinged.length % 2 === 0 ? null : PING.rttMs };
  }

  #preview(what: string): DifferenceReport {
    this.#order(`preview ${what}`);
    return DIFFERENCE;
  }

  tables(): Iterable<string> {
    return [JSON.stringify(DOCUMENT)];
  }

  #take(text: string, into: string[]): AppliedReport {
    if (this.failure !== undefined) throw this.failure;
    into.push(text);
    return { generation: 8, nodes: 3, services: 2, instances: 4 };
  }

  policies(): readonly PolicyReport[] {
    return [LISTED, NO_MODULE];
  }

  policy(name: string): PolicyDetailReport {
    this.#order(`show ${name}`);
    return POLICY;
  }

  async loadPolicy(name: string, module: Uint8Array, { source, isForced }: ModuleOrder): Promise<PolicyDetailReport> {
    this.#order(`load ${name} ${Buffer.from(module)} from ${source}${isForced ? " by force" : ""}`);
    return POLICY;
  }

  async dryRunPolicy(name: string, module: Uint8Array, isForced: boolean): Promise<DryRunReport> {
    this.#order(`try ${name} ${Buffer.from(module)}${isForced ? " by force" : ""}`);
    return DRY_RUN;
  }

  async unloadPolicy(name: string): Promise<void> {
    this.#order(`unload ${name}`);
  }

  async rollbackPolicy(name: string): Promise<PolicyDetailReport> {
    this.#order(`roll back ${name}`);
    return POLICY;
  }

  engine(): EngineReport {
    return ENGINE;
  }

  async loadEngine(module: Uint8Array, { source, isForced }: ModuleOrder): Promise<EngineReport> {
    this.#order(`load engine ${Buffer.from(module)} from ${source}${isForced ? " by force" : ""}`);
    return ENGINE;
  }

  async rollbackEngine(): Promise<EngineReport> {
    this.#order("roll back engine");
    return ENGINE;
  }

  #order(what: string): void {
    if (this.failure !== undefined) throw this.failure;
    this.modules.push(what);
  }
}

function page(path: string): Page {
  if (path === "/metrics") return new Page(200, "text/plain", "sapwood_flows 3\n");
  const ok = path === "/healthz";
  return new Page(ok ? 200 : 503, "application/json", JSON.stringify({ ok, checks: [] }));
}
