// Sapwood itself: a `sapwood run` per node, with the defaults of its configuration but for the number of queues.
import { parse, stringify } from "yaml";
import { configFile, controlSocket } from "../../src/lab/lab.ts";
import { nodeConfig, tablesOf } from "../../src/lab/node-config.ts";
import { Sandbox } from "../../src/lab/sandbox.ts";
import { build } from "../../src/lab/topology.ts";
import { type Drops, dropsOf, dropsSince, sapwood } from "./drops.ts";
import type { Path } from "./path.ts";
import { TOPOLOGY } from "./scenario.ts";

type AllDrops = Readonly<Record<string, Drops>>; // by node

/** `queues` undefined leaves the choice to the program. */
export async function openSapwoodPath(queues: number | undefined): Promise<Path> {
  const sandbox = await Sandbox.open();
  const close = () => sandbox.close();
  try {
    await build(sandbox, TOPOLOGY);
    await Promise.all(TOPOLOGY.nodes.map(({ id }) => startProxy(sandbox, id, queues)));
    // At its start a proxy tries which frames the TUN takes; what it refuses then is not lost.
    const atStart = await dropsOfAll(sandbox);
    return { name: "sapwood", sandbox, drops: () => dropsOfAll(sandbox, atStart), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startProxy(sandbox: Sandbox, node: string, queues: number | undefined): Promise<void> {
  const config = parse(nodeConfig(TOPOLOGY, node, tablesOf(TOPOLOGY)));
  const tun = queues === undefined ? config.tun : { ...config.tun, queues };
  sandbox.writeFile(configFile(node), stringify({ ...config, tun }));
  const proxy = sandbox.start(sapwood("run", "--config", configFile(node), "--socket", controlSocket(node)), node);
  await proxy.until(`the proxy of ${node} to be ready`, ({ stdout }) => stdout.includes("ready"));
}

async function dropsOfAll(sandbox: Sandbox, before: AllDrops = {}): Promise<AllDrops> {
  const entries = TOPOLOGY.nodes.map(async ({ id }) => {
    return [id, dropsSince(before[id] ?? {}, await dropsOf(sandbox, id))] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
