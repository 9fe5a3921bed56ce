// What the tests of an encrypted underlay need beside the lab: a stranger on the wire, its recording, keys, a load.

import { execFileSync } from "node:child_process";
import { isDeepStrictEqual } from "node:util";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import { addVethPairs, configure } from "../../src/lab/netns.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO, UNDERLAY_NAMESPACE, WORKLOADS } from "../../src/lab/topology.ts";
import type { LoadReport } from "../../src/lab/workload-protocol.ts";
import type { CountersReport } from "../../src/model/reports.ts";
import type { Tables } from "../../src/model/tables.ts";
import { WIREGUARD_PORT } from "../../src/net/wireguard-key.ts";

export const STRANGER = "stranger";
export const WIRE_FILE = "/run/wire.pcap";
export const HELD = ["10.30.0.3", "fdff::3", "10.30.0.3", "fdff::3"];

/** What the load did until it had made so many requests more, and each held connection a few. */
export async function untilRequests(load: SandboxProgram, requests: number): Promise<LoadReport> {
  const reports: LoadReport[] = [];
  await eventually(
    "the load to make requests",
    async () => {
      const lineCount = load.stdout.split("\n").length;
      load.write("\n");
      await load.until("a report of the load", ({ stdout }) => stdout.split("\n").length > lineCount);
      reports.push(JSON.parse(load.stdout.split("\n").at(-2) ?? ""));
      const made = reports.flatMap(({ byInstance }) => Object.values(byInstance)).reduce((sum, n) => sum + n, 0);
      const held = HELD.map((_, i) =>
        reports.reduce((sum, report) => sum + (report.held[i]?.instances.length ?? 0), 0),
      );
      return made >= requests && held.every((answers) => answers > 2);
    },
    90_000,
  );
  const last = reports.at(-1) as LoadReport;
  return {
    ...last,
    failures: reports.flatMap(({ failures }) => failures),
    held: last.held.map((call, i) => ({
      ...call,
      failures: reports.flatMap((report) => report.held[i]?.failures ?? []),
    })),
  };
}

export function placeOf(workload: string) {
  const addresses = WORKLOADS.find(({ name }) => name === workload)?.addresses;
  return { namespaceAddresses: [addresses?.v4 ?? "", addresses?.v6 ?? ""] };
}

export function withKeys(
  tables: Tables,
  keys: ReadonlyMap<string, string>,
  nextKeys: ReadonlyMap<string, string> = new Map(),
): Tables {
  const nodes = tables.nodes.map((node) => {
    const [publicKey, nextPublicKey] = [keys.get(node.id), nextKeys.get(node.id)];
    return {
      ...node,
      ...(publicKey === undefined ? {} : { publicKey }),
      ...(nextPublicKey === undefined ? {} : { nextPublicKey }),
    };
  });
  return { ...tables, nodes };
}

/** A host on the underlay that is no node. */
export async function addStranger({ sandbox }: Lab): Promise<void> {
  await configure(sandbox, undefined, [`netns add ${STRANGER}`]);
  await addVethPairs(sandbox, [
    {
      ends: [
        { namespace: STRANGER, device: "eth0" },
        { namespace: UNDERLAY_NAMESPACE, device: STRANGER },
      ],
      mtu: 1500,
    },
  ]);
  await configure(sandbox, UNDERLAY_NAMESPACE, [`link set ${STRANGER} master br0`, `link set ${STRANGER} up`]);
  await configure(sandbox, STRANGER, [
    "link set lo up",
    "link set eth0 up",
    "address add 192.0.2.99/24 dev eth0",
    "address add 2001:db8::99/64 dev eth0 nodad",
  ]);
}

/** Commands by which the stranger need not ask who has these addresses of a node: its claims would mislead others. */
export async function neighbours({ sandbox }: Lab, node: string, addresses: readonly string[]): Promise<string[]> {
  const [link] = JSON.parse(await sandbox.expect(["ip", "-json", "link", "show", "dev", "eth0"], node)) as [
    { address: string },
  ];
  return addresses.map((address) => `neigh replace ${address} lladdr ${link.address} nud permanent dev eth0`);
}

/** Waits until a node has read what came to its tunnel before: later probes of all others were answered. */
export async function untilReadOn(lab: Lab, node: string): Promise<void> {
  const answered = async (): Promise<number> => {
    const { counters } = await lab.report<CountersReport>(node, "counters");
    return counters["probesAnswered"] ?? 0;
  };
  const before = await answered();
  // Those of one round may have been on their way before.
  await eventually(`${node} to answer probes`, async () => (await answered()) >= before + 2 * DEMO.nodes.length);
}

/** Waits until what was sent before is in the recording: a mark that the wire carries after it. */
export async function untilRecorded({ sandbox }: Lab, wire: SandboxProgram): Promise<void> {
  const mark = `mark-${performance.now()}`;
  const send = [process.execPath, "-e", SEND_MARK, "2001:db8::11", mark]; // the stranger claims IPv4 addresses
  await eventually("the recording to be complete", async () => {
    await sandbox.expect(send, STRANGER);
    const { code } = await sandbox.run(["grep", "--text", "--quiet", mark, WIRE_FILE]);
    return code === 0 || !wire.isRunning;
  });
}

const SEND_MARK = `
  const socket = require("node:dgram").createSocket("udp6");
  socket.send(process.argv[2], ${WIREGUARD_PORT}, process.argv[1], () => socket.close());
`;

/** What came in by the tunnel and what of it was dropped. */
export async function ingress(lab: Lab, node: string): Promise<unknown> {
  const { counters, drops } = await lab.report<CountersReport>(node, "counters");
  return { packets: counters.ingressPackets, drops: drops.ingress };
}

/** The same when nothing of earlier tests is on its way: it stands still while the node reads on. */
export async function settledIngress(lab: Lab, node: string): Promise<unknown> {
  let last = await ingress(lab, node);
  await eventually(`the ingress of ${node} to stand still`, async () => {
    const before = last;
    await untilReadOn(lab, node);
    last = await ingress(lab, node);
    return isDeepStrictEqual(last, before);
  });
  return last;
}

export function commandExists(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `PATH="$PATH:/usr/sbin:/sbin" command -v ${program}`]);
    return true;
  } catch {
    return false;
  }
}

/** Asks the kernel for such an interface in a namespace of its own. */
export function kernelHasWireguard(): boolean {
  try {
    const script = 'PATH="$PATH:/usr/sbin:/sbin" ip link add wg-probe type wireguard';
    execFileSync("unshare", ["--user", "--map-root-user", "--net", "sh", "-c", script], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
