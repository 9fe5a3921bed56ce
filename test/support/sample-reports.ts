// What a proxy could answer: one report of each kind.

import type { ExplanationReport } from "../../src/model/explanation-report.ts";
import type {
  DryRunReport,
  EngineReport,
  ModuleReport,
  PolicyDetailReport,
  PolicyReport,
} from "../../src/model/module-reports.ts";
import type {
  DifferenceReport,
  ErrorBody,
  EventReport,
  FlowReport,
  KeyReport,
  PingReport,
  QuestionReport,
  StatusReport,
} from "../../src/model/reports.ts";
import type { OffloadState } from "../../src/sys/offload.ts";

export const OFFLOADS: readonly OffloadState[] = [
  { name: "tun-tcp", on: true, reason: "in force" },
  { name: "udp-gso", on: false, reason: "switched off in the configuration" },
];

const REFUSED: ErrorBody = {
  code: "config-invalid",
  message: "node.yaml:12: services[0].name: expected a name, found 5.",
  details: [],
};

export const STATUS: StatusReport = {
  version: "1.2.3",
  node: "node-a",
  pid: 4711,
  uptimeMs: 65_000,
  generation: 7,
  config: {
    file: "/etc/sapwood/node.yaml",
    isFollowed: false,
    problem: "there is no such file (ENOENT)",
    refused: REFUSED,
    needRestart: ["tun.mtu"],
  },
  lastReload: {
    at: "2026-01-02T03:04:05.000Z",
    source: "/etc/sapwood/node.yaml",
    ok: false,
    generation: 7,
    error: REFUSED,
    needRestart: ["tun.mtu"],
  },
  workers: [
    { index: 0, restarts: 0 },
    { index: 1, restarts: 2 },
  ],
  tun: { name: "sapwood0", mtu: 1450, queues: 2 },
  tunnel: { address: "2001:db8::1", port: 50103, encryption: "none" },
  network: {
    isUp: true,
    routes: ["10.30.0.0/16", "fdff::/16"],
    problems: ["The kernel parameter net/ipv4/ip_forward must be 1."],
    repairs: 2,
    lastRepair: { at: "2026-01-02T03:04:05.000Z", what: ["the link was down"] },
  },
  offloads: OFFLOADS,
  flows: { used: 3, limit: 262_144 },
  tables: { addresses: { used: 6, limit: 65_536 }, nodes: { used: 3, limit: 1024 } },
  memory: { rssBytes: 100 * 2 ** 20, sharedBytes: 200 * 2 ** 20 },
  lostLogLines: 0,
  clockJumpMs: 0,
  provider: {
    ...{ name: "oakestra", worker: "65a0", cluster: "192.0.2.9", isConnected: false },
    ...{ interests: 2, waitingMessages: 3, oddRecords: 4, oddMessages: 1 },
  },
};

export const KEY: KeyReport = {
  publicKey: "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
  nextPublicKey: null,
  address: "fd03:ff06:6f4a:1:2:3:4:5",
  device: "wg-sapwood0",
  port: 51_820,
  backend: "kernel",
};

export const FLOW: FlowReport = {
  protocol: "tcp",
  client: "fc00::101:3:23",
  clientPort: 43_210,
  called: "fdff:2000::1",
  calledPort: 80,
  service: "b",
  instance: 2,
  node: "node-c",
  state: "tcpHalfClosed",
  idleMs: 1500,
  forwardPackets: 12,
  reversePackets: 9,
};

export const EVENT: EventReport = {
  id: 1,
  at: "2026-01-02T03:04:05.000Z",
  kind: "node-lost",
  subject: "node-b",
  message: "Node node-b does not answer any more.",
  advice: "See whether it runs.",
  untold: 2,
};

export const EXPLANATION: ExplanationReport = {
  packet: { protocol: "tcp", source: "10.18.0.2", sourcePort: 40_000, destination: "10.30.0.2", destinationPort: 80 },
  verdict: "sent",
  drop: null,
  flow: "opened",
  choice: {
    service: "b",
    policy: "closest",
    candidates: [
      {
        ...{ instance: 1, node: "node-b", weight: 1, flows: 3, rttMs: 0.25, distanceKm: null },
        ...{ isLocal: false, isDraining: true, isHealthy: false, hasIpv4: true, hasIpv6: true, isOwnFamily: true },
        isChosen: true,
      },
    ],
  },
  sent: [
    { source: "10.30.1.5", destination: "10.18.3.1", node: "node-b", address: "192.0.2.2", port: 50103, mtu: 1400 },
  ],
  written: [],
  counters: { egressPackets: 1 },
};

export const PING: PingReport = {
  ...{ to: "10.30.0.4", node: "node-c", service: "b", instance: 2, isLocal: false },
  ...{
    underlay: { address: "192.0.2.3", port: 50103 },
    encryption: "none",
    state: "reachable",
    mtu: 1372,
    rttMs: 0.25,
  },
};

export const QUESTION: QuestionReport = { address: "10.30.77.77", ageMs: 120 };

const MODULE: ModuleReport = {
  sha256: "0123456789abcdef".repeat(4),
  sizeBytes: 4321,
  source: "/srv/closest.wasm",
  loadedAt: "2026-01-02T03:04:05.000Z",
};

export const POLICY: PolicyDetailReport = {
  name: "closest",
  state: "faulty",
  module: MODULE,
  previous: { ...MODULE, source: "built-in" },
  addresses: 1,
  choices: 640,
  choiceUs: 0.4567,
  faults: { declined: 0, outOfRange: 3, traps: 0, refusals: 0, unprepared: 0, overdue: 0, greedy: 0 },
  lastError: { at: "2026-01-02T03:05:00.000Z", message: "choose answered 7" },
  swap: { tookMs: 2.345, pauseMs: 0.678 },
  file: "/etc/sapwood/closest.wasm",
  shares: [
    {
      service: "b",
      address: "fdff:1000::1",
      flows: 4,
      instances: [
        { number: 0, node: "node-c", flows: 1 },
        { number: 1, node: "node-d", flows: 3 },
      ],
    },
  ],
};

/** As the list has it, without what only its own answer tells. */
const { swap: _swap, file: _file, shares: _shares, ...listed } = POLICY;
export const LISTED: PolicyReport = listed;

export const NO_MODULE: PolicyReport = {
  ...LISTED,
  name: "mine",
  state: "no module",
  module: null,
  previous: null,
  choices: 0,
  choiceUs: null,
  lastError: null,
};

export const DRY_RUN: DryRunReport = {
  policy: "closest",
  sha256: MODULE.sha256,
  flows: 10_000,
  addresses: [
    {
      service: "b",
      address: "fdff:1000::1",
      instances: [
        { number: 0, node: "node-c", now: 10_000, after: 4000 },
        { number: 1, node: "node-d", now: 0, after: 5990 },
      ],
      none: { now: 0, after: 10 },
    },
  ],
};

export const ENGINE: EngineReport = {
  layoutVersion: 1,
  module: { ...MODULE, source: "built-in" },
  previous: null,
  swap: null,
  lastError: null,
};

export const DIFFERENCE: DifferenceReport = {
  generation: 7,
  nodes: {
    added: ["node-f"],
    removed: ["node-c"],
    changed: [{ id: "node-b", fields: [{ field: "underlay.port", before: 50_103, after: 50_104 }] }],
  },
  services: {
    added: ["new"],
    removed: ["old"],
    changed: [
      {
        name: "web",
        fields: [{ field: "health.interval", before: "5000ms", after: "1000ms" }],
        addresses: {
          added: [{ address: "fdff::9", policy: "closest" }],
          removed: [],
          changed: [{ address: "10.30.0.2", fields: [{ field: "policy", before: "round-robin", after: "closest" }] }],
        },
        instances: {
          added: [{ number: 3, node: "node-b" }],
          removed: [{ number: 1, node: "node-c" }],
          changed: [
            {
              number: 2,
              fields: [
                { field: "weight", before: 1, after: 5 },
                { field: "namespace", before: ["10.1.1.1"], after: ["10.1.1.2", "fc00::2"] },
              ],
            },
          ],
        },
      },
    ],
  },
};

export const DOCUMENT = {
  nodes: [
    {
      id: "node-b",
      underlay: { address: "2001:db8::2", port: 50_103 },
      accept: { anyPort: true, addresses: [], unknownSources: false },
      location: { latitude: -1.5, longitude: 0 },
    },
  ],
  services: [
    {
      name: "größe",
      addresses: [{ address: "10.30.0.2", policy: "round-robin" }],
      instances: [
        { number: 2, node: "node-b", weight: 1, draining: true, namespace: ["fc00::2"], addresses: ["fdff::4"] },
      ],
    },
    { name: "no", addresses: [], instances: [] },
    { name: "10.5", addresses: [], instances: [] },
  ],
};
