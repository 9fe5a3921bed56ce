// Records packets in a lab with tcpdump, and has tshark and tcpdump judge them: lengths, structure, and every checksum.
// A workload's own packets are not among them: what it leaves to its device has no checksum yet.
import { fileURLToPath } from "node:url";
import { TUNNEL_PORT } from "../../assembly/shared/protocols.ts";
import type { Lab } from "../../src/lab/lab.ts";
import type { Sandbox, SandboxProgram } from "../../src/lab/sandbox.ts";

const INNER_PROGRAM = fileURLToPath(new URL("../e2e/in-workload/inner-packets.mjs", import.meta.url));
/** Wireshark leaves those unverified by default that a device may have to finish. */
const VERIFY = ["ip", "tcp", "udp"].flatMap((protocol) => ["-o", `${protocol}.check_checksum:TRUE`]);
/** Groups of Wireshark's expert information: PI_CHECKSUM and PI_MALFORMED of epan/proto.h. */
const FAULTS = "_ws.expert.group == 0x01000000 || _ws.expert.group == 0x07000000";
/** What tcpdump says of a packet that it would not accept. */
const COMPLAINTS = /bad cksum|incorrect|wrong icmp|truncated|bad-len|bad udp cksum|invalid/;

/** Where packets are recorded: what a workload gets, and what a node sends through the tunnel. */
interface Place {
  readonly namespace: string;
  readonly isNode: boolean;
}

export class Recordings {
  readonly #sandbox: Sandbox;
  readonly #running: { readonly place: Place; readonly file: string; readonly program: SandboxProgram }[] = [];

  private constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** Records in all workloads of a lab and between all of its nodes. */
  static async start({ sandbox, topology }: Lab): Promise<Recordings> {
    const recordings = new Recordings(sandbox);
    // An ICMP error quotes a packet as its sender left it, which with this offload is without a checksum.
    await Promise.all(
      topology.workloads.map(({ name }) => sandbox.expect(["ethtool", "-K", "eth0", "tx", "off"], name)),
    );
    const workloads = topology.workloads.map(({ name }): Place => ({ namespace: name, isNode: false }));
    const nodes = topology.nodes.map(({ id }): Place => ({ namespace: id, isNode: true }));
    await Promise.all([...workloads, ...nodes].map((place) => recordings.#start(place)));
    return recordings;
  }

  /** Ends the recording; what the judges object to, and how many packets of which protocols they saw. */
  async judge(): Promise<{ readonly faults: string[]; readonly protocols: Set<string> }> {
    const faults: string[] = [];
    const protocols = new Set<string>();
    for (const { place, file, program } of this.#running) {
      await program.stop();
      const packets = place.isNode ? await this.#unwrapped(file) : file;
      const where = place.isNode ? `sent by ${place.namespace}` : `got by ${place.namespace}`;
      faults.push(...(await this.#tshark(packets, FAULTS)).map((line) => `${where}, tshark: ${line}`));
      const text = await this.#sandbox.expect(["tcpdump", "-nvv", "-r", packets]);
      faults.push(
        ...text
          .split("\n")
          .filter((line) => COMPLAINTS.test(line))
          .map((line) => `${where}, tcpdump: ${line}`),
      );
      for (const line of await this.#tshark(packets, "ip || ipv6", "_ws.col.Protocol")) protocols.add(line);
    }
    return { faults, protocols };
  }

  async #start(place: Place): Promise<void> {
    const { namespace, isNode } = place;
    const file = `/run/recording-${namespace}.pcap`;
    const [direction, ...only] = isNode ? ["out", "udp", "port", String(TUNNEL_PORT)] : ["in", "ip or ip6"];
    const argv = ["tcpdump", "-Z", "root", "-i", "eth0", "-Q", direction ?? "", "-U", "-w", file, ...only];
    const program = this.#sandbox.start(argv, namespace);
    await program.until(`the recording in ${namespace}`, ({ stderr }) => stderr.includes("listening on"));
    this.#running.push({ place, file, program });
  }

  async #unwrapped(file: string): Promise<string> {
    const result = `${file}.inner`;
    await this.#sandbox.expect([process.execPath, INNER_PROGRAM, file, String(TUNNEL_PORT), result]);
    return result;
  }

  /** One line per packet that the filter takes. */
  async #tshark(file: string, filter: string, ...fields: readonly string[]): Promise<string[]> {
    const shown = fields.flatMap((field) => ["-e", field]);
    const format = shown.length > 0 ? ["-T", "fields", ...shown] : [];
    const text = await this.#sandbox.expect(["tshark", "-n", "-r", file, ...VERIFY, ...format, "-Y", filter]);
    return text.split("\n").filter((line) => line !== "");
  }
}
