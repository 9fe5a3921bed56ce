// Sapwood itself: a `sapwood run` per node, with the defaults of its configuration but for the number of queues.
import { Lab } from "../../src/lab/lab.ts";
import type { Sandbox } from "../../src/lab/sandbox.ts";
import type { Topology } from "../../src/lab/topology.ts";
import { type Drops, dropsOf, dropsSince } from "./drops.ts";
import type { Path } from "./path.ts";
import { TOPOLOGY } from "./scenario.ts";

type AllDrops = Readonly<Record<string, Drops>>; // by node

/** `queues` undefined leaves the choice to the program. */
export async function openSapwoodPath(queues: number | undefined, isEncrypted: boolean): Promise<Path> {
  const topology: Topology = {
    ...TOPOLOGY,
    encryption: isEncrypted ? "auto" : undefined,
    settings: queues === undefined ? {} : { tun: { queues } },
  };
  const lab = await Lab.open(topology);
  const { sandbox } = lab;
  const close = () => lab.close();
  try {
    await lab.startProxies();
    // At its start a proxy tries which frames the TUN takes; what it refuses then is not lost.
    const atStart = await dropsOfAll(sandbox);
    return {
      name: isEncrypted ? "sapwood encrypted" : "sapwood",
      sandbox,
      drops: () => dropsOfAll(sandbox, atStart),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function dropsOfAll(sandbox: Sandbox, before: AllDrops = {}): Promise<AllDrops> {
  const entries = TOPOLOGY.nodes.map(async ({ id }) => {
    return [id, dropsSince(before[id] ?? {}, await dropsOf(sandbox, id))] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
