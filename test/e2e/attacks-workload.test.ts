// What a workload can do to the other workloads of its node: it opens more flows than there is room for, sends fragments
// without end, asks for addresses that nobody has, and tells of connections that are not its own. One lab; the other
// workload goes on meanwhile.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { controlSocket, eventually, type Lab } from "../../src/lab/lab.ts";
import { tablesText } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { instance, type LabWorkload, type Topology } from "../../src/lab/topology.ts";
import type { LoadReport } from "../../src/lab/workload-protocol.ts";
import type { CountersReport } from "../../src/model/reports.ts";
import type { Service, Tables } from "../../src/model/tables.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { given, nth } from "../support/given.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { packet } from "../support/packet-builder.ts";
import { TWO_NODES } from "../support/topologies.ts";

const RAW_SEND = fileURLToPath(new URL("in-workload/raw-send.mjs", import.meta.url));
const UDP_SEQUENCE = fileURLToPath(new URL("in-workload/udp-sequence.mjs", import.meta.url));
const NODE = "node-a";
const A1 = "10.101.3.23";
const B1 = "10.30.0.3";
const B_BALANCED = "10.30.0.2";
const UNKNOWN = "10.30.77.1";
const HELD = [B1, "fdff::3"];
const FLOW_LIMIT = 500;
const FLOOD = 5000;
const DATAGRAMS = [1, 2, 3, 4, 5, 6, 7, 8];
/** The attacker, beside a1. */
const E1: LabWorkload = { name: "e1", node: NODE, addresses: { v4: "10.101.3.66", v6: "fc00::101:3:66" } };

const TOPOLOGY: Topology = {
  ...TWO_NODES,
  workloads: [...TWO_NODES.workloads, E1],
  services: [
    ...TWO_NODES.services,
    { name: "E", addresses: [], instances: [instance(1, E1, ["10.30.1.66", "fdff::166"])] },
  ],
  settings: { flows: { limit: FLOW_LIMIT }, unknown: { ask: true, timeout: "60s" } },
};

describeLab("beside a hostile workload", () => {
  let lab: Lab;
  let load: SandboxProgram;

  beforeAll(async () => {
    lab = await openLab(TOPOLOGY);
    load = lab.startClient("a1", { kind: "load", addresses: [B1], held: HELD });
    await untilServed();
  });

  afterAll(() => lab?.close());

  test("a flood of flows takes none of the other's", async () => {
    const before = await counters();
    const flood = Array.from({ length: FLOOD }, (_, i) =>
      packet()
        .ip(E1.addresses.v4, B_BALANCED)
        .udp({ sport: 40_000 + (i % 20_000), dport: 9001 + (i % 7) })
        .payload("x")
        .bytes(),
    );
    await send(B_BALANCED, flood);
    await eventually("the table to be full of the flood", async () => {
      return ((await counters()).counters.flowsEvicted ?? 0) > (before.counters.flowsEvicted ?? 0);
    });
    await expectServed();
  });

  test("fragments without a first one keep no other's from arriving", async () => {
    const later = Array.from({ length: 600 }, (_, i) => {
      const whole = packet().ip(E1.addresses.v4, B1).udp({ sport: 4000, dport: 80 }).payload(3000).bytes();
      return nth(fragmentsOf(whole, 1400, i + 1), 1);
    });
    // One after the other, because the last answer of one run of ping is not waited for.
    const pings = Array.from({ length: 10 }, () => `ping -q -n -c 1 -W 30 -s 4000 ${B1}`).join(" && ");
    const ping = lab.sandbox.run(["sh", "-c", pings], "a1");
    await send(B1, later);
    expect((await ping).stdout.match(/ 0% packet loss/g)).toHaveLength(10);
    await expectServed();
  });

  test("questions for addresses that nobody has do not push out the other's", async () => {
    const flood = Array.from({ length: 2000 }, (_, i) =>
      packet()
        .ip(E1.addresses.v4, `10.30.${100 + (i >> 8)}.${i & 0xff}`)
        .udp({ sport: 4000, dport: 80 })
        .payload("x")
        .bytes(),
    );
    const client = lab.sandbox.start([process.execPath, UDP_SEQUENCE, UNKNOWN, String(DATAGRAMS.length)], "a1");
    client.endInput();
    await send(B1, flood);
    await eventually("the other's question", async () => (await questions()).includes(UNKNOWN));
    await send(B1, flood);
    await learn(UNKNOWN);
    expect(JSON.parse((await client.ended).stdout)).toEqual({ echoes: DATAGRAMS });
    await expectServed();
  });

  test("what it tells of connections of the other is dropped", async () => {
    const before = await counters();
    const quoted = packet().ip(B1, A1).tcp({ sport: 80, dport: 40_000 }).payload(8).bytes();
    // From its own address, and from one that is nobody's, as a router's would be.
    const errors = [E1.addresses.v4, "10.101.3.99"].flatMap((source) =>
      [3, 4].map((code) =>
        packet()
          .ip(source, B1)
          .icmp({ type: 3, code, words: [0, 576] })
          .payload(quoted)
          .bytes(),
      ),
    );
    await send(B1, errors);
    await eventually("all to be dropped", async () => {
      const dropped = (report: CountersReport) => report.drops.egress.unrelatedError ?? 0;
      return dropped(await counters()) === dropped(before) + errors.length;
    });
    await expectServed();
  });

  /** Sends packets from e1 as they are; to which address decides the way only, and all go to the node. */
  async function send(destination: string, packets: readonly Uint8Array[]): Promise<void> {
    const lines = packets.map((bytes) => `${Buffer.from(bytes).toString("hex")}\n`).join("");
    const sent = await lab.sandbox.expect([process.execPath, RAW_SEND, destination], E1.name, lines);
    expect(JSON.parse(sent)).toEqual({ sent: packets.length });
  }

  function counters(): Promise<CountersReport> {
    return lab.report<CountersReport>(NODE, "counters");
  }

  async function untilServed(): Promise<LoadReport> {
    const reports: LoadReport[] = [];
    await eventually("the other workload to be served", async () => {
      const lineCount = load.stdout.split("\n").length;
      load.write("\n");
      await load.until("a report of the load", ({ stdout }) => stdout.split("\n").length > lineCount);
      reports.push(JSON.parse(load.stdout.split("\n").at(-2) ?? ""));
      return HELD.every((_, i) => reports.reduce((sum, { held }) => sum + (held[i]?.instances.length ?? 0), 0) > 5);
    });
    const held = HELD.map((_, i) => ({
      ...(reports[0] as LoadReport).held[i],
      failures: reports.flatMap((report) => report.held[i]?.failures ?? []),
      sources: [...new Set(reports.flatMap((report) => report.held[i]?.sources ?? []))],
    }));
    return { ...(reports[0] as LoadReport), held } as LoadReport;
  }

  /** The kept connections are the same as before, and answered. */
  async function expectServed(): Promise<void> {
    const { held } = await untilServed();
    expect(held.flatMap(({ failures }) => failures)).toEqual([]);
    expect(held.map(({ sources }) => sources.length)).toEqual(HELD.map(() => 1));
  }

  async function questions(): Promise<string[]> {
    const argv = ["curl", "-sS", "--fail", "--unix-socket", controlSocket(NODE), "http://sapwood/v1/questions"];
    const found: readonly { readonly address: string }[] = JSON.parse(await lab.sandbox.expect(argv, NODE));
    return found.map(({ address }) => address);
  }

  async function learn(address: string): Promise<void> {
    const b = given(TWO_NODES.services.find(({ name }) => name === "B"));
    const late: Service = { ...b, addresses: [...b.addresses, { address, policy: "round-robin" }] };
    const tables: Tables = { nodes: [], services: [late] };
    lab.sandbox.writeFile("/run/sapwood/late.yaml", tablesText(NODE, tables));
    const { code, stderr } = await lab.sapwood(NODE, ["apply", "--merge", "/run/sapwood/late.yaml"]);
    expect(code, stderr).toBe(0);
  }
});
