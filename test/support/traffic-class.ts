// DSCP and ECN end to end: tshark reads the outer headers where a node sends them, and the packets that workloads get. A
// rule on the sending node marks outer headers, as a congested router would.
import { expect, test } from "vitest";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import type { NodeReport } from "../../src/model/reports.ts";
import { describeLab, openLab, useLab } from "./lab.ts";
import { TWO_NODES } from "./topologies.ts";

const [NOT_ECT, ECT_1, ECT_0, CE] = [0, 1, 2, 3] as const;
const EF = 46 << 2;
const TRANSFER_BYTES = 2 ** 23;
/** Headers are enough. */
const SNAP = ["-s", "160"];

/** Instance addresses of B 1. */
const CALLED = [
  { name: "IPv4", option: "-4", address: "10.30.0.3", echo: "icmp.type == 8", field: "ip.dsfield" },
  { name: "IPv6", option: "-6", address: "fdff::3", echo: "icmpv6.type == 128", field: "ipv6.tclass" },
] as const;
/** The fields of an outer header, as tshark and nft call them. */
const UNDERLAYS = {
  v4: { field: "ip.dsfield", header: "ip" },
  v6: { field: "ipv6.tclass", header: "ip6" },
} as const;
type Family = keyof typeof UNDERLAYS;

/** Records what passes a device, until `end` is called. */
async function record(lab: Lab, namespace: string, direction: "in" | "out", filter: string) {
  const file = `/run/class-${namespace}-${direction}.pcap`;
  const argv = ["tcpdump", "-Z", "root", "-i", "eth0", "--immediate-mode", "-U", ...SNAP, "-Q", direction, "-w", file];
  const program: SandboxProgram = lab.sandbox.start([...argv, filter], namespace);
  await program.until(`the recording in ${namespace}`, ({ stderr }) => stderr.includes("listening on"));
  const read = async (display: string, ...fields: string[]): Promise<string[]> => {
    const what = fields.flatMap((field) => ["-e", field]);
    const text = await lab.sandbox.expect(["tshark", "-r", file, "-Y", display, "-T", "fields", ...what]);
    return text.split("\n").filter((line) => line !== "");
  };
  /** Ends it as soon as it has so many packets: what was sent last may still be on its way to the file. */
  const end = async (display: string, least: number): Promise<void> => {
    const isThere = async () => (await read(display, "frame.number").catch(() => [])).length >= least;
    await eventually(`${least} packets of ${display} in the recording in ${namespace}`, isThere);
    await program.stop();
  };
  return { read, end };
}

/** One echo request with this TOS or traffic class; whether it was answered within so many seconds. */
async function ping(
  lab: Lab,
  { option, address }: (typeof CALLED)[number],
  trafficClass: number,
  withinS = 30,
): Promise<boolean> {
  const argv = ["ping", option, "-n", "-c", "1", "-W", String(withinS), "-Q", String(trafficClass), address];
  return (await lab.sandbox.run(argv, "a1")).code === 0;
}

/** Has node-a's outer headers say CE: all of them, or those of every eighth datagram that may be marked. */
function mark(lab: Lab, header: string, which: "all" | "some" | "none"): Promise<string> {
  const mayBeMarked = `${header} ecn { ect0, ect1 } numgen inc mod 8 == 0`;
  const rule = `udp dport ${TUNNEL_PORT} ${which === "some" ? mayBeMarked : ""} ${header} ecn set ce`;
  const chain = which === "none" ? "" : `chain out { type filter hook output priority -150; ${rule}; }`;
  const table = "table inet congestion";
  return lab.sandbox.expect(["nft", "-f", "-"], "node-a", `${table} {}\ndelete ${table}\n${table} {\n${chain}\n}\n`);
}

async function count(lab: Lab, node: string, name: string): Promise<number> {
  const { counters, drops } = await lab.report<{
    counters: Record<string, number>;
    drops: { ingress: Record<string, number> };
  }>(node, "counters");
  return counters[name] ?? drops.ingress[name] ?? 0;
}

export function describeTrafficClass(family: Family): void {
  const { field, header } = UNDERLAYS[family];
  describeLab(
    `DSCP and ECN under a tunnel over IP${family}`,
    () => {
      const lab = useLab(() =>
        openLab({ ...TWO_NODES, underlayFamily: family }, async (opened) => {
          for (const workload of ["a1", "b1"]) {
            await opened.sandbox.expect(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/tcp_ecn"], workload);
          }
          await opened.startProxies();
          // Only to a node that has said that it takes marks over.
          await eventually("node-b to answer probes", async () => {
            const nodes = await opened.report<NodeReport[]>("node-a", "nodes");
            return nodes.some(({ id, state }) => id === "node-b" && state === "reachable");
          });
        }),
      );

      test.for(CALLED)("the outer header has DSCP and ECN of a packet over $name", async (called) => {
        const classes = [EF | ECT_0, EF | CE, ECT_1, 0x48, NOT_ECT];
        const outside = await record(lab(), "node-a", "out", `udp port ${TUNNEL_PORT}`);
        const inside = await record(lab(), "b1", "in", "icmp or icmp6");
        for (const one of classes) expect(await ping(lab(), called, one)).toBe(true);
        await outside.end(`udp && ${field} != 0`, classes.length - 1);
        await inside.end(called.echo, classes.length);
        // Probes have class 0 as well, so those are not told apart from the last packet.
        const sent = (await outside.read("udp", field)).map(Number).filter((one) => one !== 0);
        expect(sent).toEqual(classes.filter((one) => one !== 0));
        expect((await inside.read(called.echo, called.field)).map(Number)).toEqual(classes);
      });

      test.for(CALLED)("a mark of the underlay reaches a packet over $name that may be marked", async (called) => {
        await mark(lab(), header, "all");
        const inside = await record(lab(), "b1", "in", "icmp or icmp6");
        const marked = await count(lab(), "node-b", "ecnMarked");
        const dropped = await count(lab(), "node-b", "congestionExperienced");
        expect(await ping(lab(), called, EF | ECT_0)).toBe(true);
        expect(await ping(lab(), called, ECT_1)).toBe(true);
        expect(await ping(lab(), called, EF | NOT_ECT, 2)).toBe(false);
        await mark(lab(), header, "none");
        await inside.end(called.echo, 2);
        expect((await inside.read(called.echo, called.field)).map(Number)).toEqual([EF | CE, CE]);
        expect(await count(lab(), "node-b", "ecnMarked")).toBe(marked + 2);
        expect(await count(lab(), "node-b", "congestionExperienced")).toBe(dropped + 1);
      });

      test.for(CALLED)("TCP with ECN over $name answers marks, and all arrives", async ({ address }) => {
        await mark(lab(), header, "some");
        const toServer = await record(lab(), "b1", "in", "tcp port 81");
        const toClient = await record(lab(), "a1", "in", "tcp port 81");
        const result = await lab().ask<SendResult>("a1", { kind: "send", address, sizeBytes: TRANSFER_BYTES });
        await mark(lab(), header, "none");
        const [reduced, echoed] = ["cwr", "ece"].map((flag) => `tcp.flags.${flag} == 1 && tcp.flags.syn == 0`);
        await toServer.end(reduced as string, 1);
        await toClient.end(echoed as string, 1);
        expect(result.received).toBe(result.sent);
        const isMarked = "ip.dsfield.ecn == 3 || ipv6.tclass.ecn == 3";
        expect((await toServer.read(isMarked, "frame.number")).length).toBeGreaterThan(0);
        // The server echoes the mark, and the client says that it has reduced its window (RFC 3168 section 6.1).
        expect(
          (await toClient.read("tcp.flags.ece == 1 && tcp.flags.syn == 0", "frame.number")).length,
        ).toBeGreaterThan(0);
        expect(
          (await toServer.read("tcp.flags.cwr == 1 && tcp.flags.syn == 0", "frame.number")).length,
        ).toBeGreaterThan(0);
      });
    },
    "nft",
  );
}
