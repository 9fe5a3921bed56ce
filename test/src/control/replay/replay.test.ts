// What a replay says of captures: those that an engine of a test was recorded in, and files that are none.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as ProbeLayout from "../../../../assembly/shared/layout/probe.ts";
import { replayText } from "../../../../src/cli/replay-text.ts";
import { counterText } from "../../../../src/control/observe/counter-texts.ts";
import { interfaceBlock, packetBlock, sectionBlock, statisticsBlock } from "../../../../src/control/observe/pcapng.ts";
import type { ReplayPlan } from "../../../../src/control/replay/replay-contract.ts";
import { runReplay } from "../../../../src/control/replay/run-replay.ts";
import { type LoadedModule, sha256Of } from "../../../../src/control/state/loaded-module.ts";
import { ModuleStore } from "../../../../src/control/state/module-store.ts";
import { writtenInstance } from "../../../../src/control/tables/tables-document.ts";
import { builtModulePath } from "../../../../src/dataplane/modules/wasm.ts";
import type { Tables } from "../../../../src/model/tables.ts";
import { planReplay, type ReplayOrder } from "../../../../src/node/replay-plan.ts";
import type { EngineFixture } from "../../../support/engine-fixture.ts";
import { faultyEngines } from "../../../support/faulty-engines.ts";
import { turning } from "../../../support/hostile-policies.ts";
import { FLAG, packet, virtioFrame } from "../../../support/packet-builder.ts";
import { record } from "../../../support/recorder.ts";
import { assemble, policyText } from "../../../support/wat.ts";
import {
  A1,
  B1,
  C1,
  FROM,
  NODE,
  onNodeA,
  RANGES,
  ROUND_ROBIN,
  THIS_NODE,
  TO,
  UNKNOWN,
  world,
} from "../../../support/world.ts";

const NODES = [NODE.b, NODE.c, NODE.d];
const ROTATING = new Map([["round-robin", builtModulePath("policies/round-robin")]]);
const MAIN = fileURLToPath(new URL("../../../../dist/src/main.js", import.meta.url));

let folder: string;
let configFile: string;
/** With what is configured alone. */
let plain: ReplayPlan;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sapwood-replay-"));
  file("first.wasm", assemble(policyText()));
  configFile = file("node.yaml", configText(world()));
  plain = await planned();
});

afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function configText({ nodes, services }: Tables, state = "state"): string {
  return JSON.stringify({
    node: { id: THIS_NODE, underlay: { address: "192.0.2.1", bind: "::" } },
    state: { directory: join(folder, state) },
    policies: { "round-robin": { file: "first.wasm" } },
    ranges: RANGES,
    nodes,
    services: services.map(({ instances, ...rest }) => ({ ...rest, instances: instances.map(writtenInstance) })),
  });
}

async function planned(order: Partial<ReplayOrder> = {}): Promise<ReplayPlan> {
  const given = { file: "", configFile, engineFile: undefined, policyFiles: new Map(), ...order };
  return (await planReplay(given)).plan;
}

async function replayed(file: string, order?: Partial<ReplayOrder>): ReturnType<typeof runReplay> {
  return runReplay({ ...(order === undefined ? plain : await planned(order)), file });
}

function request(sport: number): Uint8Array {
  const built = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport, dport: 80, flags: FLAG.SYN }).bytes();
  return virtioFrame(built, {});
}

/** Some of each: new flows, answers, drops from both sides, what stays on the node, a super-packet. */
async function recordedTraffic(parameters: Readonly<Record<string, string>> = {}): Promise<Buffer> {
  const fixture: EngineFixture = await onNodeA({ policy: () => 0 });
  const end = await record(fixture, world(), parameters);
  for (let sport = 4000; sport < 4006; sport++) {
    fixture.egress(request(sport));
    fixture.advance(7);
  }
  const answer = packet()
    .ip(B1.instanceV4, A1.v4)
    .tcp({ sport: 80, dport: 4000, flags: FLAG.ACK })
    .payload(100)
    .bytes();
  fixture.ingress({ ...FROM.b, bytes: answer }, { ...FROM.stranger, bytes: answer });
  fixture.advance(90_000);
  const nowhere = packet().ip(A1.v4, UNKNOWN.v4).udp({ sport: 1, dport: 2 }).bytes();
  const local = packet().ip(A1.v6, C1.instanceV6).udp({ sport: 1, dport: 2 }).payload(10).bytes();
  fixture.egress(virtioFrame(nowhere, {}), virtioFrame(local, {}));
  const data = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 4000, dport: 80, flags: FLAG.ACK });
  fixture.egress(data.payload(4000).frame());
  return end();
}

describe("a capture of an engine's traffic", () => {
  let capture: string;

  beforeAll(async () => {
    capture = file("traffic.pcapng", await recordedTraffic());
  });

  test("has the recorded verdicts again, the same each time", async () => {
    const first = await replayed(capture);
    expect(first.recorded.first).toEqual([]);
    expect(first).toMatchObject({
      recorded: { equal: 11, different: 0, untold: 0 },
      replayed: 11,
      notReplayed: { snapped: 0, foreign: 0, malformed: 0 },
      differences: null,
    });
    expect(first.sides[0]?.verdicts).toEqual(
      expect.arrayContaining([
        { interface: "tun", verdict: "sent", reason: null, packets: 7 },
        { interface: "tun", verdict: "delivered", reason: null, packets: 1 },
        { interface: "tun", verdict: "dropped", reason: "unknownAddress", packets: 1 },
        { interface: "tunnel", verdict: "delivered", reason: null, packets: 1 },
        { interface: "tunnel", verdict: "dropped", reason: "unknownNode", packets: 1 },
      ]),
    );
    expect(first.sides[0]?.choices.filter(({ service }) => service === "b").map(({ flows }) => flows)).toEqual([6]);
    expect(await replayed(capture)).toEqual(first);
  });

  test("fares the same with the same modules, and otherwise with a policy that chooses otherwise", async () => {
    const same = new Map([["round-robin", join(folder, "first.wasm")]]);
    expect((await replayed(capture, { policyFiles: same })).differences).toEqual({ packets: 0, first: [] });
    const { differences, sides } = await replayed(capture, { policyFiles: ROTATING });
    expect(sides[1]?.choices.filter(({ service }) => service === "b").map(({ flows }) => flows)).toEqual([2, 2, 2]);
    expect(differences?.packets).toBeGreaterThan(3);
    expect(differences?.first[0]).toMatchObject({ interface: "tun", what: ["instance", "bytes"] });
    expect(differences?.first[0]?.time).toMatch(/^2026-01-01T00:\d\d:\d\d\.\d{6}Z$/);
    const [before, after] = differences?.first[0]?.results ?? [];
    expect(before).toMatchObject({
      said: "verdict=sent; service=b; instance=1",
      left: ["192.0.2.2 port 50103, 40 bytes"],
    });
    expect(after?.said).toMatch(/^verdict=sent; service=b; instance=[23]$/);
  });

  test("tells of both sides which candidates each policy saw with which numbers, and the choice", async () => {
    const leastConnections = new Map([["round-robin", builtModulePath("policies/least-connections")]]);
    const { differences } = await replayed(capture, { policyFiles: leastConnections });
    const [one] = differences?.first ?? [];
    for (const { said, explanation } of one?.results ?? []) {
      expect(explanation).toMatchObject({
        packet: { protocol: "tcp", source: A1.v4, destination: ROUND_ROBIN.b.v4, destinationPort: 80 },
        ...{ verdict: "sent", drop: null, flow: "opened", sent: [{ source: A1.instanceV4, mtu: null }] },
        choice: { service: "b", policy: "round-robin" },
      });
      const { candidates = [] } = explanation.choice ?? {};
      const told = candidates.map(({ instance, node, weight, rttMs }) => ({ instance, node, weight, rttMs }));
      expect(told).toEqual([
        { instance: 1, node: "node-b", weight: 1, rttMs: null },
        { instance: 2, node: "node-c", weight: 1, rttMs: null },
        { instance: 3, node: "node-d", weight: 1, rttMs: null },
      ]);
      const chosen = candidates.filter(({ isChosen }) => isChosen);
      expect(chosen.map(({ instance }) => said.endsWith(`instance=${instance}`))).toEqual([true]);
      expect(explanation.sent[0]?.node).toBe(chosen[0]?.node);
    }
    // It asks for the flows of the moment; the policy that is configured does not, and saw those of its first call.
    const last = differences?.first.findLast(({ results }) => results[0].explanation.flow === "opened");
    const flows = last?.results.map(({ explanation }) => explanation.choice?.candidates.map((seen) => seen.flows));
    expect(flows?.[0]).toEqual([0, 0, 0]);
    expect(flows?.[1]?.toSorted()).toEqual([1, 2, 2]);
  });

  test("is told in the same bytes each time", async () => {
    const told = async () => {
      const { plan, sources } = await planReplay({
        ...{ file: capture, configFile },
        ...{ engineFile: undefined, policyFiles: ROTATING },
      });
      const findings = await runReplay(plan);
      const sides = findings.sides.map((side, i) => ({ ...side, ...(sources[i] as (typeof sources)[number]) }));
      return [[...replayText({ ...findings, sides })].join(""), JSON.stringify(findings)];
    };
    const [text, json] = await told();
    expect(text).toMatch(/^ {5}policy +round-robin, for service b$/m);
    expect(text).toMatch(/^ {5}\* +1 +node-b /m);
    expect(await told()).toEqual([text, json]);
  });

  test("fares otherwise with packet code that drops for another reason", async () => {
    const fault = {
      file: "assembly/flow/open.ts",
      before: /DropReason\.unknownAddress/,
      after: (isFaulty: string) => `(${isFaulty} ? DropReason.noInstance : DropReason.unknownAddress)`,
    };
    const changed = file("changed.wasm", (await faultyEngines([fault])).get(fault) ?? new Uint8Array());
    const { differences } = await replayed(capture, { engineFile: changed });
    expect(differences).toMatchObject({ packets: 1, first: [{ interface: "tun", what: ["reason"] }] });
    expect(differences?.first[0]?.results.map(({ said }) => said)).toEqual([
      "verdict=dropped; reason=unknownAddress",
      "verdict=dropped; reason=noInstance",
    ]);
    const drops = differences?.first[0]?.results.map(({ explanation }) => explanation.drop);
    expect(drops).toEqual(["unknownAddress", "noInstance"].map((reason) => ({ reason, ...counterText(reason) })));
  });

  test("counts what was cut", async () => {
    const cut = file("cut.pcapng", await recordedTraffic({ snapLength: "60" }));
    expect(await replayed(cut)).toMatchObject({ replayed: 8, notReplayed: { snapped: 3 } });
  });

  test("the command exits with 1 for a difference alone, and tells it", () => {
    const run = (...options: readonly string[]) => {
      const args = [MAIN, "replay", capture, "--config", configFile, ...options];
      return spawnSync(process.execPath, args, { encoding: "utf8", timeout: 120_000 });
    };
    const alone = run();
    expect({ status: alone.status, stderr: alone.stderr }).toEqual({ status: 0, stderr: "" });
    expect(alone.stdout).toContain("recorded verdicts: 11 equal, 0 different, 0 not told\n");
    const rotating = builtModulePath("policies/round-robin");
    const changed = run("--policy", `round-robin=${rotating}`);
    expect(changed.status).toBe(1);
    expect(changed.stderr).toMatch(/^sapwood: \d+ packets would fare otherwise\.\n$/);
    expect(changed.stdout).toMatch(/^packet \d+ at 2026-\S+Z, from a workload: another instance, bytes$/m);
    const { status, stdout } = run("--json", "--policy", `RR=${rotating}`); // as Oakestra names it
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      recorded: { equal: 11 },
      sides: [
        { engine: "built-in", policies: { "round-robin": join(folder, "first.wasm") } },
        { policies: { "round-robin": rotating } },
      ],
    });
    expect(run("--policy", "nothing=x.wasm")).toMatchObject({ status: 2 });
  });
});

test("probes are answered after the recorded times, from which `closest` chooses", async () => {
  const fixture = await onNodeA({ policy: () => 1 });
  const end = await record(fixture, world());
  const answersAfterMs: Readonly<Record<string, number>> = { [TO.b]: 9, [TO.c]: 2, [TO.d]: 30 };
  for (let round = 0; round < 3; round++) {
    fixture.advance(500);
    const { datagrams } = fixture.probe();
    const replies = datagrams
      .map(({ endpoint, bytes }) => ({ endpoint, bytes: replyTo(bytes), afterMs: answersAfterMs[endpoint] ?? 0 }))
      .sort((a, b) => a.afterMs - b.afterMs);
    let passedMs = 0;
    for (const { endpoint, bytes, afterMs } of replies) {
      fixture.advance(afterMs - passedMs);
      passedMs = afterMs;
      const from = NODES.find(
        ({ underlay }) => endpoint.endsWith(`:${underlay.port}`) && endpoint.includes(underlay.address),
      );
      if (from !== undefined) fixture.ingress({ ...from.underlay, bytes });
    }
  }
  for (let sport = 4000; sport < 4006; sport++) fixture.egress(request(sport));
  const capture = file("probes.pcapng", end());
  const closest = new Map([["round-robin", builtModulePath("policies/closest")]]);
  const { differences, sides, recorded } = await replayed(capture, { policyFiles: closest });
  expect(recorded).toMatchObject({ different: 0, untold: 0 });
  expect(sides.map(({ choices }) => choices)).toEqual([
    [{ service: "b", instance: 1, flows: 6 }],
    [{ service: "b", instance: 2, flows: 6 }], // on node-c
  ]);
  expect(differences?.packets).toBe(6);
});

function replyTo(request: Uint8Array): Uint8Array {
  const reply = request.slice(0, ProbeLayout.SIZE);
  reply[ProbeLayout.TYPE_AT] = ProbeLayout.REPLY;
  return reply;
}

test("modules that fail when they are tried are refused before the capture is read", async () => {
  const wild = assemble(
    policyText({ choose: '(func (export "choose") (param i32 i32 i32) (result i32) (i32.const 99))' }),
  );
  const policyFiles = new Map([["round-robin", file("wild.wasm", wild)]]);
  await expect(planned({ policyFiles })).rejects.toMatchObject({ code: "module-refused" });
  const engineFile = file("text.wasm", "no module");
  await expect(planned({ engineFile })).rejects.toMatchObject({ code: "module-refused" });
});

test.each([
  ["took the place of the file", (): string | undefined => sha256Of(assemble(policyText())), "a command"],
  ["took the place of another content of the file", (): string | undefined => sha256Of(new Uint8Array()), "the file"],
  ["is older than the file", (): string | undefined => undefined, "the file"],
] as const)("of a module that %s, the later order counts", async (what, instead, expected) => {
  const store = new ModuleStore(join(folder, what));
  const bytes = assemble(policyText());
  const current: Pick<LoadedModule, "bytes" | "source" | "sha256"> = {
    bytes,
    source: "a command",
    sha256: sha256Of(bytes),
  };
  store.write({
    engine: undefined,
    policies: new Map([["round-robin", { current, previous: undefined, instead: instead() }]]),
  });
  store.close();
  const order = { configFile: file(`${what}.yaml`, configText(world(), what)), file: "" };
  const { sources } = await planReplay({ ...order, engineFile: undefined, policyFiles: new Map() });
  const found = sources[0]?.policies["round-robin"];
  expect(found === join(folder, "first.wasm") ? "the file" : found).toBe(expected);
});

test("a policy that does not return ends the replay", async () => {
  const fixture = await onNodeA({ policy: () => 0 });
  const end = await record(fixture, world());
  for (let sport = 4000; sport < 4040; sport++) fixture.egress(request(sport));
  const capture = file("many.pcapng", end());
  const hanging = file("hanging.wasm", assemble(turning({ choose: "(loop $l (br $l))" })));
  const plan = await planned({ file: capture, policyFiles: new Map([["round-robin", hanging]]) });
  await expect(runReplay(plan, 500)).rejects.toThrow(/did not return within 500 ms at packet \d+/);
});

describe("a file", () => {
  const start = [sectionBlock("test"), interfaceBlock("tun", 0), interfaceBlock("tunnel", 0)];
  const captured = {
    ...{ interface: 0, timeUs: 7, parts: [Uint8Array.of(0x45)], length: 1 },
    ...{ isInbound: true, comment: "" },
  };

  function u32(...values: readonly number[]): Uint8Array {
    return new Uint8Array(Uint32Array.from(values).buffer);
  }

  function ethernet(name: string): Uint8Array {
    const block = Uint8Array.from(interfaceBlock(name, 0));
    new DataView(block.buffer).setUint16(8, 1, true);
    return block;
  }

  test.each<[string, readonly Uint8Array[], RegExp]>([
    ["without bytes", [], /expected a pcapng file, found no bytes/],
    ["of pcap", [u32(0xa1b2c3d4, 0, 0, 0, 0, 0)], /found a pcap file/],
    ["that is compressed", [Buffer.from("1f8b080000000000000000000000", "hex")], /found a compressed file/],
    ["of text", [Buffer.from("# Not a capture\n")], /found one that begins with "# No"/],
    [
      "that ends within a block",
      [...start, packetBlock(captured).subarray(0, 30)],
      /a whole block, found 30 bytes of one/,
    ],
    ["with a huge block", [...start, u32(6, 0x40000000, 0, 0)], /a block of 12 to 16777216 bytes.*one of 1073741824/],
    [
      "with another length behind a block",
      [...start, u32(5, 16, 0, 20)],
      /16 at the end of a block as its length, found 20/,
    ],
    [
      "whose packet is longer than its block",
      [...start, u32(6, 36, 0, 0, 0, 999, 999, 0, 36)],
      /999 bytes of a packet/,
    ],
    ["of an interface that is not there", [...start, packetBlock({ ...captured, interface: 2 })], /found number 2/],
    ["of another program", [sectionBlock("x"), interfaceBlock("eth0", 0)], /"tun" and "tunnel".*found "eth0"/],
    [
      "of another link type",
      [sectionBlock("x"), ethernet("tun"), ethernet("tunnel")],
      /link type 101, found "tun" of link type 1, "tunnel" of link type 1\.$/,
    ],
    [
      "of other tables",
      [...start, packetBlock({ ...captured, comment: "verdict=sent; service=shop; instance=1" })],
      /services of the configuration, which are a, b, .*found those of shop\.$/,
    ],
  ])("%s is refused", async (name, blocks, message) => {
    const path = file(`${name}.pcapng`, Buffer.concat(blocks));
    const refusal = { code: "capture-unreadable", message: expect.stringMatching(message) };
    await expect(replayed(path)).rejects.toMatchObject(refusal);
  });

  test("that is not there, or no file, is refused", async () => {
    await expect(replayed(join(folder, "nothing"))).rejects.toThrow(/there is no such file/);
    await expect(replayed(folder)).rejects.toThrow(/expected a file, found a folder/);
  });

  test("without packets is no error", async () => {
    const ending = statisticsBlock({ interface: 0, fromUs: 1, toUs: 2, received: 0, dropped: 0 });
    expect(await replayed(file("empty.pcapng", Buffer.concat([...start, ending])))).toMatchObject({
      ...{ packets: 0, replayed: 0, recorded: { equal: 0, different: 0, untold: 0 }, differences: null },
    });
  });

  test("of tables that changed is replayed, and the services that are gone are told", async () => {
    const comments = ["verdict=sent; service=shop; instance=1", "verdict=dropped; reason=malformed; service=b"];
    const blocks = [...start, ...comments.map((comment) => packetBlock({ ...captured, comment }))];
    expect(await replayed(file("changed.pcapng", Buffer.concat(blocks)))).toMatchObject({
      ...{ replayed: 2, recorded: { unknownServices: ["shop"] } },
    });
  });

  test("of others is counted as far as it is not of ours, and its packets as they came", async () => {
    const blocks = [
      ...start,
      interfaceBlock("eth0", 0),
      packetBlock({ ...captured, interface: 2 }),
      packetBlock({ ...captured, interface: 1 }),
      packetBlock({ ...captured, timeUs: 2 ** 52 }),
      packetBlock({ ...captured, timeUs: 2 ** 60 }),
      packetBlock(captured),
    ];
    expect(await replayed(file("strange.pcapng", Buffer.concat(blocks)))).toMatchObject({
      ...{ packets: 5, replayed: 2, notReplayed: { foreign: 1, malformed: 2 }, recorded: { untold: 2 } },
    });
  });
});
