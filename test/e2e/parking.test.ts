// Packets to an address that the node does not know yet wait while a program is asked for it over the control socket.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { controlSocket, eventually, type Lab } from "../../src/lab/lab.ts";
import { tablesText } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { Service } from "../../src/model/tables.ts";
import { given } from "../support/given.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const NODE = "node-a";
const SEQUENCE_PROGRAM = fileURLToPath(new URL("./in-workload/udp-sequence.mjs", import.meta.url));
const DATAGRAMS = [1, 2, 3, 4, 5, 6, 7, 8];
/** Addresses of a range that the lab routes and no table holds; each test has its own. */
const UNKNOWN = {
  IPv4: { answered: "10.30.77.1", refused: "10.30.77.2", forgotten: "10.30.77.3" },
  IPv6: { answered: "fdff::77:1", refused: "fdff::77:2", forgotten: "fdff::77:3" },
} as const;
const FAMILIES = Object.entries(UNKNOWN);
/** What the kernel makes of "host unreachable" and "address unreachable". */
const UNREACHABLE = { echoes: [], error: "EHOSTUNREACH" };

describeLab("an unknown service address, with a program that is asked", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await openLab({ ...TWO_NODES, settings: { unknown: { ask: true, timeout: "15s" } } });
  });
  afterAll(() => lab?.close());

  test.for(FAMILIES)("%s packets wait for the answer and arrive in their order", async ([, { answered }]) => {
    const client = sendSequence(answered);
    await asked(answered);
    // Held up by nothing: these go and come while the others wait.
    const call = { protocol: "udp", address: "10.30.0.2" } as const;
    const [other] = await lab.ask<CallResult[]>("a1", { kind: "together", calls: [call], rounds: 20 });
    expect(other?.failures).toEqual([]);
    expect(await questions()).toContain(answered);
    await learn(answered);
    expect(await resultOf(client)).toEqual({ echoes: DATAGRAMS });
  });

  test.for(FAMILIES)("%s packets are refused as soon as the program says so", async ([, { refused }]) => {
    const client = sendSequence(refused);
    await asked(refused);
    const left = await control("POST", "/v1/questions/refuse", JSON.stringify({ address: refused }));
    expect(left).not.toContainEqual(expect.objectContaining({ address: refused }));
    expect(await resultOf(client)).toEqual(UNREACHABLE);
  });

  test("packets are refused and counted when nobody answers", async () => {
    const before = await unknownDrops();
    const forgotten = FAMILIES.map(([, addresses]) => addresses.forgotten);
    const clients = forgotten.map(sendSequence);
    for (const client of clients) expect(await resultOf(client)).toEqual(UNREACHABLE);
    const sent = clients.length * DATAGRAMS.length;
    await eventually("all to be refused", async () => (await unknownDrops()) - before === sent);
    const asked = await questions();
    for (const address of forgotten) expect(asked).not.toContain(address);
  });

  function sendSequence(address: string): SandboxProgram {
    const program = lab.sandbox.start([process.execPath, SEQUENCE_PROGRAM, address, String(DATAGRAMS.length)], "a1");
    program.endInput();
    return program;
  }

  async function resultOf(client: SandboxProgram): Promise<unknown> {
    return JSON.parse((await client.ended).stdout);
  }

  /** Waits as an orchestrator does until the address is asked for. */
  async function asked(address: string): Promise<void> {
    await eventually(`a question for ${address}`, async () => (await questions("?wait=1s")).includes(address));
  }

  async function questions(query = ""): Promise<string[]> {
    const found: readonly { readonly address: string }[] = await control("GET", `/v1/questions${query}`);
    return found.map(({ address }) => address);
  }

  async function learn(address: string): Promise<void> {
    const b = given(TWO_NODES.services.find(({ name }) => name === "B"));
    const late: Service = { ...b, addresses: [...b.addresses, { address, policy: "round-robin" }] };
    await control("PATCH", "/v1/tables", tablesText(NODE, { nodes: [], services: [late] }));
  }

  async function unknownDrops(): Promise<number> {
    const { drops } = await control<{ readonly drops: { readonly egress: Record<string, number> } }>(
      "GET",
      "/v1/counters",
    );
    return drops.egress.unknownAddress ?? 0;
  }

  async function control<Answer>(method: string, path: string, body?: string): Promise<Answer> {
    const data = body === undefined ? [] : ["--data-binary", "@-"];
    const argv = ["curl", "-sS", "--fail", "--unix-socket", controlSocket(NODE), "-X", method, ...data];
    return JSON.parse(await lab.sandbox.expect([...argv, `http://sapwood${path}`], NODE, body));
  }
});
