// A workload of a worker node calls a thousand addresses that nobody knows, while a known service is called. Nothing here
// depends on how fast that goes: `npm run bench oakestra` measures it.
import { statSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import { containerName, OakestraCluster } from "../support/oakestra/cluster.ts";
import { describeCluster } from "../support/oakestra/describe-cluster.ts";
import { Load } from "../support/oakestra/load.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { spoof } from "../support/spoof.ts";

const WORKERS = { "node-a": "65a000000000000000000001", "node-b": "65a000000000000000000002" } as const;
const CLIENT = "c.d.client.d";
const SERVER = "x.d.server.d";
const NEW = "n.d.new.d";
const SERVICE = { v4: "10.30.0.10", v6: "fdff:2000::10" };
const NEW_SERVICE = { v4: "10.30.0.11", v6: "fdff:2000::11" };
/** An instance that no node has heard of. */
const CALLER = "10.30.0.99";
const UNKNOWN = 1000;
const UNKNOWN_ADDRESS = /^10\.30\.1\d\d\./;
/** So many queries of unknown addresses are unanswered at a time. New ones take their place after 5 s. */
const UNANSWERED = 8;
/** Such a change of places may fall between an update and its question, but not each time. */
const ATTEMPTS = 3;
/** Larger than what a capture without packets has. */
const CAPTURE_SIZE = 8192;

describeCluster("a thousand unknown addresses on a worker node", () => {
  let cluster: OakestraCluster;
  let namespaceAddress: string; // of the client that calls them

  beforeAll(async () => {
    cluster = await OakestraCluster.open(2);
    await order(CLIENT, undefined, 0, 1);
    await order(SERVER, SERVICE, 0);
    await order(NEW, NEW_SERVICE, 0);
    await Promise.all(cluster.nodes.map((node) => cluster.startNode(node)));
    for (const [node, worker] of Object.entries(WORKERS))
      expect((await cluster.register(node, worker)).status).toBe(200);
    for (const [node, job, number] of [
      ["node-a", CLIENT, 0],
      ["node-a", CLIENT, 1],
      ["node-b", SERVER, 0],
      ["node-b", NEW, 0],
    ] as const) {
      const { status, body } = await cluster.deploy(node, { job, number });
      expect(status).toBe(200);
      if (job === CLIENT && number === 0) namespaceAddress = JSON.parse(body).nsAddress;
    }
  });
  afterAll(() => cluster?.close());

  test("1,000 unknown addresses in a second hold up no known service, and no other workload [measured 9, remedy 3]", async () => {
    const addresses = Object.values(SERVICE);
    const client = { kind: "load", addresses, held: addresses } as const;
    const load = new Load(cluster.lab.startClient(containerName(CLIENT, 0), client));
    await load.answeredBy(`${SERVER} 0`);
    const captures = await Promise.all(addresses.map(capture));
    // Nobody answers, so that the others' questions stand in a queue.
    await cluster.order("behave", { answers: "silent" });
    const ahead: number[] = [];
    while (ahead.length < ATTEMPTS && ahead.at(-1) !== 0) ahead.push(await askedBefore(100 + 10 * ahead.length));
    expect(ahead.at(-1)).toBe(0);
    await load.answeredBy(`${SERVER} 0`);
    await cluster.order("behave", { answers: "now", delayMs: 6 }); // as the real one
    // This workload's own questions would be behind all of its others.
    const [found] = await callFrom(1, NEW_SERVICE.v4);
    expect(found).toMatchObject({ failures: [], instances: [`${NEW} 0`] });
    await load.answeredBy(`${SERVER} 0`);
    expect(load.failures).toEqual([]);
    await load.end();
    for (const { program, file } of captures) {
      program.kill("SIGINT");
      expect((await program.ended).code).toBe(0);
      const argv = ["tshark", "-n", "-r", file, "-T", "fields", "-e", "frame.comment"];
      const comments = (await cluster.lab.sandbox.expect(argv)).split("\n").slice(0, -1);
      expect(comments.length).toBeGreaterThan(0);
      // None was dropped, and none waited.
      const others = comments.filter((one) => !/^verdict=(?:sent|delivered); service=x\.d\.server\.d; /.test(one));
      expect([...new Set(others)]).toEqual([]);
    }
  });

  test("an answer of the workload that calls them is asked for beside them all, whoever called it [measured 9]", async () => {
    await cluster.order("behave", { answers: "silent" });
    const before = asked().length;
    await callUnknown(160);
    const unknown = (): string[] =>
      asked()
        .slice(before)
        .filter((one) => UNKNOWN_ADDRESS.test(one));
    await eventually("unknown addresses to be asked for", async () => unknown().length >= UNANSWERED);
    const told = asked().length;
    const syn = packet().ip(CALLER, namespaceAddress).tcp({ sport: 4000, dport: 80, flags: FLAG.SYN, seq: 1 }).bytes();
    const sender = { namespace: "node-b", from: ["192.0.2.12", 40_000], to: ["192.0.2.11", 50_103] } as const;
    await spoof(cluster.lab.sandbox, { ...sender, datagrams: [Buffer.from(syn).toString("hex")] }, () =>
      eventually("the caller to be asked for", async () => asked().slice(told).includes(CALLER)),
    );
    // As many as may have taken the places of others meanwhile, and not the thousand.
    expect(asked().slice(told).indexOf(CALLER)).toBeLessThanOrEqual(UNANSWERED);
    await cluster.order("behave", { answers: "now" });
  });

  async function order(job: string, address?: typeof SERVICE, ...numbers: readonly number[]): Promise<void> {
    const last = [CLIENT, SERVER, NEW].indexOf(job) + 2;
    const addresses = address === undefined ? [] : [{ IpType: "RR", Address: address.v4, Address_v6: address.v6 }];
    await cluster.order("service", { job, addresses });
    for (const number of numbers) {
      await cluster.order("instance", { job, number, ip: `10.30.0.${last}${number}`, ipv6: `fdff::${last}${number}` });
    }
  }

  /** Names and addresses that the client's node has asked for, in their order. */
  function asked(): string[] {
    const queries = cluster.messages(WORKERS["node-a"]).filter(({ what }) => what === "tablequery/request");
    return queries.map(({ message }) => String(message?.sname || message?.sip));
  }

  /** How many unknown addresses are asked for between an update of the known service and the question for it. */
  async function askedBefore(block: number): Promise<number> {
    const seen = asked().length;
    await callUnknown(block);
    const unknown = (from: number) =>
      asked()
        .slice(from)
        .filter((one) => UNKNOWN_ADDRESS.test(one));
    await eventually("unknown addresses to be asked for", async () => unknown(seen).length >= UNANSWERED);
    const told = asked().length;
    await cluster.order("update", { job: SERVER });
    await eventually("the known service to be asked for", async () => asked().slice(told).includes(SERVER));
    return asked().slice(told).indexOf(SERVER);
  }

  /** All packets of the client's node from and to an address, each with what became of it. */
  async function capture(address: string, index: number): Promise<{ program: SandboxProgram; file: string }> {
    const file = `/run/known-${index}.pcapng`;
    const command = cluster.sapwoodArguments("node-a", "capture", "--address", address, "-w", file);
    const program = cluster.lab.sandbox.start([process.execPath, ...command], "node-a");
    await eventually("packets to be captured", async () => {
      const status = statSync(cluster.lab.sandbox.pathFromOutside(file), { throwIfNoEntry: false });
      return (status?.size ?? 0) > CAPTURE_SIZE;
    });
    return { program, file };
  }

  async function callUnknown(block: number): Promise<void> {
    const program = `
      const socket = require("node:dgram").createSocket("udp4");
      let left = ${UNKNOWN};
      for (let i = 0; i < ${UNKNOWN}; i++) socket.send("?", 9, "10.30." + (${block} + (i >> 8)) + "." + (i & 255), () => {
        if (--left === 0) socket.close();
      });`;
    await cluster.lab.sandbox.expect([process.execPath, "-e", program], containerName(CLIENT, 0));
  }

  function callFrom(number: number, address: string): Promise<CallResult[]> {
    const calls = [{ protocol: "http", address }] as const;
    return cluster.lab.ask(containerName(CLIENT, number), { kind: "together", calls, rounds: 1 });
  }
});
