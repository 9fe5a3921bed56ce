// A path between two nodes that a program makes worse: it loses datagrams, holds some back, or takes its time.
import { fileURLToPath } from "node:url";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import type { Lab } from "../../src/lab/lab.ts";
import { tablesOf } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";

const RELAY_PROGRAM = fileURLToPath(new URL("../e2e/in-workload/relay.mjs", import.meta.url));
const RELAY_ADDRESS = "192.0.2.50";

interface WorsePath {
  /** Share of the datagrams that is lost, and that is overtaken by a few others. */
  readonly loss: number;
  readonly late: number;
  readonly seed: number;
  /** How long each takes, one way. */
  readonly delayMs: number;
}

/** Starts the relay, and the proxies of the lab's two nodes, each of which takes the relay for the other one. */
export async function startRelayed(lab: Lab, { loss, late, seed, delayMs }: WorsePath): Promise<SandboxProgram> {
  const { sandbox, topology } = lab;
  await sandbox.expect(["ip", "address", "add", `${RELAY_ADDRESS}/24`, "dev", "br0"], UNDERLAY_NAMESPACE);
  const [left, right] = topology.nodes.map((node) => node.underlay.v4) as [string, string];
  const settings = [RELAY_ADDRESS, left, right, loss, late, seed, delayMs].map(String);
  const relay = sandbox.start([process.execPath, RELAY_PROGRAM, ...settings], UNDERLAY_NAMESPACE);
  await relay.until("the relay to be ready", ({ stdout }) => stdout.includes("relay ready"));
  const tables = tablesOf(topology);
  const nodes = tables.nodes.map((node) => ({ ...node, underlay: { address: RELAY_ADDRESS, port: TUNNEL_PORT } }));
  for (const { id } of topology.nodes) await lab.startProxy(id, { ...tables, nodes });
  return relay;
}
