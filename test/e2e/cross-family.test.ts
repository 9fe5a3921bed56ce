// IPv4 clients of services that have only IPv6, and the other way round: the tools see one address family, the other
// end sees the other, and the judges of every packet find nothing wrong.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import {
  DEMO,
  instance,
  type LabWorkload,
  NODES,
  SERVICE_A,
  type Topology,
  WORKLOADS,
} from "../../src/lab/topology.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import type { Service } from "../../src/model/tables.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { pingAtOnce } from "../support/ping.ts";
import { judgeWorkloads, Recordings } from "../support/recording.ts";

const ECHO_PROGRAM = fileURLToPath(new URL("./in-workload/udp-echo.mjs", import.meta.url));
const TRANSFER_BYTES = 2 ** 22;
const DATAGRAM = 1200;

type Family = "v4" | "v6";

/** As far as the tables know, each has one family only. */
const a4 = workload("a4", "node-a", 101, 44);
const a6 = workload("a6", "node-a", 101, 66);
const local4 = workload("local4", "node-a", 101, 45);
const local6 = workload("local6", "node-a", 101, 67);
const b4 = workload("b4", "node-b", 18, 44);
const b6 = workload("b6", "node-b", 18, 66);

const TOPOLOGY: Topology = {
  ...DEMO,
  nodes: NODES.slice(0, 2),
  workloads: [...WORKLOADS.slice(0, 1), a4, a6, local4, local6, b4, b6],
  services: [
    SERVICE_A,
    service("client-4", 50, a4, "v4"),
    service("client-6", 60, a6, "v6"),
    service("local-4", 70, local4, "v4"),
    service("local-6", 80, local6, "v6"),
    service("remote-4", 90, b4, "v4"),
    service("remote-6", 110, b6, "v6"),
  ],
  settings: { offloads: { tunTcp: false, tunUdp: false } },
};

interface Case {
  readonly what: string;
  readonly client: string;
  readonly called: string;
  readonly server: string;
}

const CASES: readonly Case[] = [
  { what: "IPv4 to an IPv6 service", client: "a1", called: "10.30.0.110", server: "b6" },
  { what: "IPv6 to an IPv4 service", client: "a1", called: "fdff:2000::90", server: "b4" },
  { what: "a client with IPv4 alone to an IPv6 service", client: "a4", called: "10.30.0.110", server: "b6" },
  { what: "a client with IPv6 alone to an IPv4 service", client: "a6", called: "fdff:2000::90", server: "b4" },
  { what: "IPv4 to an IPv6 service on the same node", client: "a1", called: "10.30.0.80", server: "local6" },
  { what: "IPv6 to an IPv4 service on the same node", client: "a1", called: "fdff:2000::70", server: "local4" },
];

describeLab("across address families", () => {
  let lab: Lab;
  let recordings: Recordings;
  beforeAll(async () => {
    lab = await openLab(TOPOLOGY);
    recordings = await Recordings.ofWorkloads(lab);
  });
  afterAll(() => lab?.close());

  describe.each(CASES)("$what", ({ client, called, server }) => {
    const option = called.includes(":") ? "-6" : "-4";

    test.each([56, 1200])("ping with %i bytes gets every answer, from the address that it called", async (size) => {
      const argv = ["ping", option, ...pingAtOnce(3), "-s", String(size), called];
      const text = await lab.sandbox.expect(argv, client);
      expect(text).toContain(" 3 received, 0% packet loss");
      expect(text).toContain(`bytes from ${called}: icmp_seq=1`);
    });

    test("curl gets a page", async () => {
      const host = option === "-6" ? `[${called}]` : called;
      const argv = ["curl", "--silent", "--show-error", "--max-time", "60", `http://${host}/hello`];
      const answer = JSON.parse(await lab.sandbox.expect(argv, client)) as { echo: string; local: string };
      expect(answer.echo).toBe("hello");
      expect(answer.local.includes(":"), "the server saw the other family").toBe(option === "-4");
    });

    test("TCP arrives", async () => {
      const { sent, received } = await lab.ask<SendResult>(client, {
        kind: "send",
        address: called,
        sizeBytes: TRANSFER_BYTES,
      });
      expect(received).toBe(sent);
    });

    test("UDP is answered", async () => {
      const argv = [process.execPath, ECHO_PROGRAM, called, String(DATAGRAM), "20"];
      expect(JSON.parse(await lab.sandbox.expect(argv, client))).toEqual({ answered: 20, wrong: 0, errors: [] });
    });

    test("iperf3 measures TCP and UDP", async () => {
      for (const args of [[], ["--reverse"], ["--udp", "--bitrate", "10M", "--length", "1200"]]) {
        const running = lab.sandbox.start(["iperf3", "--server", "--one-off", "--forceflush"], server);
        await running.until("iperf3's server", ({ stdout }) => stdout.includes("Server listening"));
        const argv = ["iperf3", option, "--client", called, "--bytes", "2M", "--json", ...args];
        const { error } = JSON.parse(await lab.sandbox.expect(argv, client)) as { error?: string };
        await running.ended;
        expect(error).toBeUndefined();
      }
    });

    test("traceroute ends at the address that was called", async () => {
      const argv = ["traceroute", option, "-n", "-q", "1", "-N", "1", "-w", "30", "-m", "8", called];
      const text = await lab.sandbox.expect(argv, client);
      expect(text.trim().split("\n").at(-1)).toContain(` ${called} `);
    });

    test("nc learns at once that nobody listens on a UDP port", async () => {
      const { stdout, code } = await lab.sandbox.run(
        ["nc", option, "-v", "-n", "-u", "-w", "100", called, "9"],
        client,
        "x",
      );
      expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
    });
  });

  test("no judge found a wrong checksum or length in what the workloads got", async () => {
    const { faults, protocols } = await judgeWorkloads(lab, recordings);
    expect(faults).toEqual([]);
    expect([...protocols]).toEqual(expect.arrayContaining(["TCP", "UDP", "ICMP", "ICMPv6"]));
  });
});

function workload(name: string, node: string, subnet: number, host: number): LabWorkload {
  return { name, node, addresses: { v4: `10.${subnet}.3.${host}`, v6: `fc00::${subnet}:3:${host}` } };
}

/** One instance that has one family inside, and addresses of both outside. */
function service(name: string, number: number, at: LabWorkload, family: Family): Service {
  const addresses = [`10.30.0.${number}`, `fdff:2000::${number}`].map((address) => ({
    address,
    policy: "round-robin",
  }));
  const one = instance(1, at, [`10.30.0.${number + 1}`, `fdff::${number + 1}`]);
  return { name, addresses, instances: [{ ...one, namespaceAddresses: [at.addresses[family]] }] };
}
