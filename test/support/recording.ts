// Records packets in a lab with tcpdump, for the judges to look at: what the workloads get, or what goes through the
// tunnel. A workload's own packets are not among them: what it leaves to its device has no checksum yet.
import { fileURLToPath } from "node:url";
import { TUNNEL_PORT } from "../../assembly/shared/protocols.ts";
import type { Lab } from "../../src/lab/lab.ts";
import type { Sandbox, SandboxProgram } from "../../src/lab/sandbox.ts";
import { faultsIn, protocolsIn } from "./judges.ts";

const INNER_PROGRAM = fileURLToPath(new URL("../e2e/in-workload/inner-packets.mjs", import.meta.url));
const INNER_PACKETS = "/run/inner-packets.pcap";
/**
 * What is recorded of the tunnel, so that a gigabyte costs nothing that one notices: datagrams per node, and as much of
 * one that the kernel has yet to cut up as holds a packet of the largest MTU.
 */
const TUNNEL_BOUNDS = ["-c", "4000", "-s", "9216"];
/** What came just before the end is not left in the kernel's buffer, which is large enough for a burst. */
const IMMEDIATE = ["--immediate-mode", "-B", "16384"];

export class Recordings {
  readonly #sandbox: Sandbox;
  /** By the file that each writes. */
  readonly #programs = new Map<string, SandboxProgram>();

  private constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** Records what all workloads of a lab get. */
  static async ofWorkloads({ sandbox, topology }: Lab): Promise<Recordings> {
    const recordings = new Recordings(sandbox);
    const names = topology.workloads.map(({ name }) => name);
    // An ICMP error quotes a packet as its sender left it, which with this offload is without a checksum.
    await Promise.all(names.map((name) => sandbox.expect(["ethtool", "-K", "eth0", "tx", "off"], name)));
    await Promise.all(names.map((name) => recordings.#start(name, ["-Q", "in"], "ip or ip6")));
    return recordings;
  }

  /** Records what each node of a lab sends through the tunnel, from its start on. */
  static async ofTunnel({ sandbox, topology }: Lab): Promise<Recordings> {
    const recordings = new Recordings(sandbox);
    const filter = `udp port ${TUNNEL_PORT}`;
    await Promise.all(
      topology.nodes.map(({ id }) => recordings.#start(id, ["-Q", "out", ...TUNNEL_BOUNDS, ...IMMEDIATE], filter)),
    );
    return recordings;
  }

  /** Ends the recording; the files, a place each. */
  async end(): Promise<string[]> {
    for (const [file, program] of this.#programs) {
      const { code, stderr } = await program.stop(); // has ended before when it had recorded enough
      if (code !== 0) throw new Error(`Recording to ${file} failed: ${stderr.trim()}`);
    }
    return [...this.#programs.keys()];
  }

  async #start(namespace: string, options: readonly string[], filter: string): Promise<void> {
    const file = `/run/recording-${namespace}.pcap`;
    const argv = ["tcpdump", "-Z", "root", "-i", "eth0", ...options, "-w", file, filter];
    const program = this.#sandbox.start(argv, namespace);
    await program.until(`the recording in ${namespace}`, ({ stderr }) => stderr.includes("listening on"));
    this.#programs.set(file, program);
  }
}

/** Ends the recording of a lab's workloads; what the judges object to, and packets of which protocols they saw. */
export async function judgeWorkloads(
  { sandbox }: Lab,
  recordings: Recordings,
): Promise<{ readonly faults: string[]; readonly protocols: Set<string> }> {
  const faults: string[] = [];
  const protocols = new Set<string>();
  for (const file of await recordings.end()) {
    faults.push(...(await faultsIn(sandbox, file)).map((fault) => `${file}, ${fault}`));
    for (const protocol of await protocolsIn(sandbox, file)) protocols.add(protocol);
  }
  return { faults, protocols };
}

/** Ends the recording of a lab's tunnel; throws what the judges object to. */
export async function judgeTunnel({ sandbox }: Lab, recordings: Recordings): Promise<void> {
  const files = await recordings.end();
  await sandbox.expect([process.execPath, INNER_PROGRAM, String(TUNNEL_PORT), INNER_PACKETS, ...files]);
  const faults = await faultsIn(sandbox, INNER_PACKETS);
  if (faults.length > 0) throw new Error(`Packets in the tunnel are wrong:\n${faults.slice(0, 20).join("\n")}`);
}
