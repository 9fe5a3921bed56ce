// Sapwood itself: a `sapwood run` per node, with the defaults of its configuration but for the number of queues.
import { controlSocket, eventually, Lab } from "../../src/lab/lab.ts";
import type { Sandbox } from "../../src/lab/sandbox.ts";
import type { Topology } from "../../src/lab/topology.ts";
import { type Drops, dropsOf, dropsSince } from "./drops.ts";
import type { Path, PathName } from "./path.ts";
import { TOPOLOGY } from "./scenario.ts";

type AllDrops = Readonly<Record<string, Drops>>; // by node

interface SapwoodPathOptions {
  readonly name: Exclude<PathName, "kernel" | "kernel encrypted">;
  /** Undefined leaves the choice to the program. */
  readonly queues: number | undefined;
  /** Of "other sapwood". */
  readonly program?: string | undefined;
}

/** Enough for the headers. */
const SNAP_LENGTH = "96";

export async function openSapwoodPath({ name, queues, program }: SapwoodPathOptions): Promise<Path> {
  const topology: Topology = {
    ...TOPOLOGY,
    encryption: name === "sapwood encrypted" ? "auto" : undefined,
    settings: queues === undefined ? {} : { tun: { queues } },
    program,
  };
  const lab = await Lab.open(topology);
  const { sandbox } = lab;
  const close = () => lab.close();
  try {
    await lab.startProxies();
    if (name === "sapwood captured") await Promise.all(TOPOLOGY.nodes.map(({ id }) => captureAll(lab, id)));
    // At its start a proxy tries which frames the TUN takes; what it refuses then is not lost.
    const atStart = await dropsOfAll(sandbox);
    return { name, sandbox, drops: () => dropsOfAll(sandbox, atStart), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Until the lab is closed. What is captured goes to nobody, so that no disk takes part. */
async function captureAll(lab: Lab, node: string): Promise<void> {
  const begun = `/run/${node}.begun`;
  const capture = lab.sapwoodCommand(["capture", "--snap-length", SNAP_LENGTH, "--socket", controlSocket(node)]);
  const script = `"$@" | { head -c 1 > ${begun}; exec cat > /dev/null; }`;
  lab.sandbox.start(["sh", "-c", script, "sh", ...capture], node);
  const hasBegun = async (): Promise<boolean> => (await lab.sandbox.run(["test", "-s", begun])).code === 0;
  await eventually(`the capture on ${node}`, hasBegun);
}

async function dropsOfAll(sandbox: Sandbox, before: AllDrops = {}): Promise<AllDrops> {
  const entries = TOPOLOGY.nodes.map(async ({ id }) => {
    return [id, dropsSince(before[id] ?? {}, await dropsOf(sandbox, id))] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
