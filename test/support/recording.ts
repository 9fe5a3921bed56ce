// Records packets in a lab with tcpdump, for the judges to look at: what the workloads get, or what goes through the
// tunnel. A workload's own packets are not among them: what it leaves to its device has no checksum yet.
import { fileURLToPath } from "node:url";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import type { Sandbox, SandboxProgram } from "../../src/lab/sandbox.ts";
import { faultsIn, MARK, protocolsIn } from "./judges.ts";

const INNER_PROGRAM = fileURLToPath(new URL("../e2e/in-workload/inner-packets.mjs", import.meta.url));
const INNER_PACKETS = "/run/inner-packets.pcap";
/**
 * What is recorded of the tunnel, so that a gigabyte costs nothing that one notices: datagrams per node, and as much of
 * one that the kernel has yet to cut up as holds a packet of the largest MTU.
 */
const TUNNEL_BOUNDS = ["-c", "4000", "-s", "9216"];
/** tcpdump writes each packet at once, and the kernel's buffer is large enough for a burst. */
const PROMPT = ["--immediate-mode", "-U", "-B", "16384"];
/** A workload's MTU and more, so that a place of the buffer is not larger than it has to be. */
const WORKLOAD_BOUNDS = ["-s", "9216"];
/** Of RFC 1112: every host of the link. */
const ALL_HOSTS = "224.0.0.1";
const MARK_FILTER = `dst host ${ALL_HOSTS}`;
const MARK_WAIT_MS = 60_000;

/** Where a mark is sent from, so that it passes the places of recording. */
interface MarkSource {
  readonly from: string;
  readonly device: string;
}

/** What the workloads of a lab get, or what its nodes send: a file for each, complete when they are judged. */
export class Recordings {
  readonly #sandbox: Sandbox;
  readonly #marks: readonly MarkSource[];
  /** By the file that each writes. */
  readonly #programs = new Map<string, SandboxProgram>();

  private constructor(sandbox: Sandbox, marks: readonly MarkSource[]) {
    this.#sandbox = sandbox;
    this.#marks = marks;
  }

  /** Records what all workloads of a lab get. */
  static async ofWorkloads({ sandbox, topology }: Lab): Promise<Recordings> {
    const marks = topology.nodes.map(({ id }) => ({ from: id, device: "br0" }));
    const recordings = new Recordings(sandbox, marks);
    const names = topology.workloads.map(({ name }) => name);
    // An ICMP error quotes a packet as its sender left it, which with this offload is without a checksum.
    await Promise.all(names.map((name) => sandbox.expect(["ethtool", "-K", "eth0", "tx", "off"], name)));
    await Promise.all(names.map((name) => recordings.#start(name, ["-Q", "in", ...WORKLOAD_BOUNDS], "ip or ip6")));
    return recordings;
  }

  /** Records what each node of a lab sends through the tunnel, from its start on. */
  static async ofTunnel({ sandbox, topology }: Lab): Promise<Recordings> {
    const marks = topology.nodes.map(({ id }) => ({ from: id, device: "eth0" }));
    const recordings = new Recordings(sandbox, marks);
    const filter = `udp port ${TUNNEL_PORT} or ${MARK_FILTER}`;
    await Promise.all(topology.nodes.map(({ id }) => recordings.#start(id, ["-Q", "out", ...TUNNEL_BOUNDS], filter)));
    return recordings;
  }

  /** Ends the recording when all that was seen before this call is in its files; the files, a place each. */
  async end(): Promise<string[]> {
    await Promise.all([...this.#programs].map(([file, program]) => this.#complete(file, program)));
    for (const [file, program] of this.#programs) {
      const { code, stderr } = await program.stop(); // has ended before when it had recorded enough
      if (code !== 0) throw new Error(`Recording to ${file} failed: ${stderr.trim()}`);
    }
    return [...this.#programs.keys()];
  }

  /**
   * Waits until a mark is in the file. The kernel and tcpdump keep the order of what they record, so that then all is
   * in the file that came before the mark.
   */
  async #complete(file: string, program: SandboxProgram): Promise<void> {
    const isComplete = async (): Promise<boolean> => {
      if (!program.isRunning) return true;
      await Promise.all(this.#marks.map((mark) => this.#send(mark)));
      return (await this.#sandbox.run(["grep", "--quiet", "--text", "--fixed-strings", MARK, file])).code === 0;
    };
    await eventually(`the end of ${file}`, isComplete, MARK_WAIT_MS);
  }

  /** One packet to all hosts of a link: no address has to be resolved, and nobody answers. */
  async #send({ from, device }: MarkSource): Promise<void> {
    const pattern = Buffer.from(MARK).toString("hex");
    await this.#sandbox.run(
      ["ping", "-n", "-c", "1", "-W", "0.1", "-s", "64", "-p", pattern, "-I", device, ALL_HOSTS],
      from,
    );
  }

  async #start(namespace: string, options: readonly string[], filter: string): Promise<void> {
    const file = `/run/recording-${namespace}.pcap`;
    const argv = ["tcpdump", "-Z", "root", "-i", "eth0", ...PROMPT, ...options, "-w", file, filter];
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
