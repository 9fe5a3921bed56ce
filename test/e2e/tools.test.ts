// The tools that people use to see whether a network works say that a service address is an address like any.
// Everything that arrived or went through the tunnel meanwhile is judged by tshark and tcpdump.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import type { Topology } from "../../src/lab/topology.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { pingAtOnce } from "../support/ping.ts";
import { judgeWorkloads, Recordings } from "../support/recording.ts";
import { ONE_SERVER } from "../support/topologies.ts";

/** What the device takes over is finished behind the places of recording, so it takes over nothing here. */
const PLAIN: Topology = { ...ONE_SERVER, settings: { offloads: { tunTcp: false, tunUdp: false } } };

interface Family {
  readonly name: string;
  /** As an option of most tools. */
  readonly option: "-4" | "-6";
  readonly balanced: string;
  readonly instance: string;
  readonly gateway: string;
}

const FAMILIES: readonly Family[] = [
  { name: "IPv4", option: "-4", balanced: "10.30.0.2", instance: "10.30.0.3", gateway: "10.101.3.254" },
  { name: "IPv6", option: "-6", balanced: "fdff:2000::1", instance: "fdff::3", gateway: "fc00::101:3:fe" },
];

describeLab("tools", () => {
  let lab: Lab;
  let recordings: Recordings;
  beforeAll(async () => {
    lab = await openLab(PLAIN);
    recordings = await Recordings.ofWorkloads(lab);
  });
  afterAll(() => lab?.close());

  describe.each(FAMILIES)("over $name", ({ option, balanced, instance, gateway }) => {
    const [listen, connect] = option === "-4" ? ["LISTEN", "TCP4"] : ["LISTEN", "TCP6"];

    test.each([
      ["a service address", balanced],
      ["an instance address", instance],
      ["one's own instance address", option === "-4" ? "10.30.1.5" : "fdff::105"],
    ])("ping gets every answer from %s", async (_what, address) => {
      const text = await inA(["ping", option, ...pingAtOnce(5), address]);
      expect(text).toContain(" 5 received, 0% packet loss");
      expect(answerersOf(text)).toEqual([address]);
    });

    test("ping with packets that must be fragmented gets every answer", async () => {
      const text = await inA(["ping", option, ...pingAtOnce(3), "-s", "4000", balanced]);
      expect(text).toContain(" 3 received, 0% packet loss");
    });

    test("twenty pings at once, each to its instance", async () => {
      const texts = await Promise.all(
        Array.from({ length: 20 }, () => inA(["ping", option, ...pingAtOnce(3), balanced])),
      );
      for (const text of texts) expect(text).toContain(" 3 received, 0% packet loss");
    });

    test.each([
      ["UDP", []],
      ["ICMP", ["-I"]],
      ["TCP", ["-T", "-p", "80"]],
    ])("traceroute with %s shows the gateway, then nothing but the address", async (_what, args) => {
      const text = await inA([
        "traceroute",
        option,
        "-n",
        "-q",
        "1",
        "-N",
        "1",
        "-w",
        "30",
        "-m",
        "8",
        ...args,
        instance,
      ]);
      const hops = hopsOf(text);
      expect(hops[0]).toBe(gateway);
      expect(new Set(hops.slice(1))).toEqual(new Set([instance]));
    });

    test("mtr shows the gateway, then nothing but the address, and no loss", async () => {
      const text = await inA([
        "mtr",
        option,
        "--no-dns",
        "--json",
        "--report-cycles",
        "3",
        "--interval",
        "0.3",
        instance,
      ]);
      const { report } = JSON.parse(text) as { report: { hubs: { host: string; "Loss%": number }[] } };
      const hosts = report.hubs.map(({ host }) => host);
      expect(hosts[0]).toBe(gateway);
      expect(new Set(hosts.slice(1))).toEqual(new Set([instance]));
      expect(report.hubs.at(-1)?.["Loss%"]).toBe(0);
    });

    test("curl gets a page", async () => {
      const host = option === "-6" ? `[${balanced}]` : balanced;
      const text = await inA(["curl", "--silent", "--show-error", "--max-time", "60", `http://${host}/hello`]);
      expect(JSON.parse(text)).toMatchObject({ echo: "hello" });
    });

    test.each([
      ["TCP", []],
      ["TCP, answers", ["--reverse"]],
      ["UDP", ["--udp", "--bitrate", "10M", "--length", "1200"]],
      ["UDP, answers", ["--udp", "--bitrate", "10M", "--length", "1200", "--reverse"]],
    ])("iperf3 measures %s", async (_what, args) => {
      const server = lab.sandbox.start(["iperf3", "--server", "--one-off", "--forceflush"], "b1");
      await server.until("iperf3's server", ({ stdout }) => stdout.includes("Server listening"));
      const text = await inA(["iperf3", option, "--client", instance, "--bytes", "2M", "--json", ...args]);
      await server.ended;
      const { end, error } = JSON.parse(text) as { error?: string; end: Iperf3End };
      expect(error).toBeUndefined();
      expect((end.sum_received ?? end.sum)?.bytes).toBeGreaterThan(0);
    });

    test.each([
      ["TCP", `TCP${option.slice(1)}-${listen}:7000,fork,reuseaddr`, `${connect}:${bracketed(instance)}:7000`],
      [
        "UDP",
        `UDP${option.slice(1)}-RECVFROM:7001,fork,reuseaddr`,
        `UDP${option.slice(1)}:${bracketed(instance)}:7001`,
      ],
    ])("socat gets back what it sends over %s", async (_what, server, client) => {
      const echo = lab.sandbox.start(["socat", "-d", "-d", server, "SYSTEM:cat"], "b1");
      try {
        await echo.until("socat's server", ({ stderr }) => /listening|receiving/.test(stderr));
        const asking = lab.sandbox.start(["socat", "-", client], "a1");
        asking.write("there and back\n");
        await asking.until("the answer", ({ stdout }) => stdout.endsWith("\n"));
        expect((await asking.stop()).stdout).toBe("there and back\n");
      } finally {
        await echo.stop();
      }
    });

    test("a protocol without ports arrives", async () => {
      const server = lab.sandbox.start(["socat", "-u", "-d", "-d", `IP${option.slice(1)}-RECV:253`, "-"], "b1");
      try {
        await server.until("socat's server", ({ stderr }) => stderr.includes("starting data transfer loop"));
        const client = `IP${option.slice(1)}-SENDTO:${bracketed(instance)}:253`;
        await lab.sandbox.expect(["socat", "-u", "-", client], "a1", "no ports\n");
        await server.until("the datagram", ({ stdout }) => stdout.includes("no ports"));
      } finally {
        await server.stop();
      }
    });

    test("nc learns at once that nobody listens on a UDP port", async () => {
      // It ends when it is told; left alone it would wait for more than the test does.
      const { stdout, code } = await lab.sandbox.run(
        ["nc", option, "-v", "-n", "-u", "-w", "100", instance, "9"],
        "a1",
        "x",
      );
      expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
    });

    test("nc is told that nobody listens on a TCP port", async () => {
      const { stderr, code } = await lab.sandbox.run(["nc", option, "-v", "-n", "-w", "100", instance, "9"], "a1");
      expect(stderr).toContain("Connection refused");
      expect(code).toBe(1);
    });
  });

  test("no judge found a wrong checksum or length in what the workloads got", async () => {
    const { faults, protocols } = await judgeWorkloads(lab, recordings);
    expect(faults).toEqual([]);
    expect([...protocols]).toEqual(expect.arrayContaining(["TCP", "UDP", "ICMP", "ICMPv6", "IPv4", "IPv6"]));
  });

  async function inA(argv: readonly string[]): Promise<string> {
    return await lab.sandbox.expect(argv, "a1");
  }
});

interface Iperf3End {
  readonly sum?: { readonly bytes: number };
  readonly sum_received?: { readonly bytes: number };
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** Whom `ping` says that answers came from. */
function answerersOf(text: string): string[] {
  return [...new Set([...text.matchAll(/bytes from ([^ ]+?):? icmp_seq/g)].map((match) => match[1] ?? ""))];
}

/** Address per hop, "*" where nobody answered. */
function hopsOf(text: string): string[] {
  return [...text.matchAll(/^ *\d+ +(\S+)/gm)].map((match) => match[1] ?? "");
}
