// `npm run bench -- adoption`: how long a start takes to take over the flows of the process before. A node opens flows
// into a file in memory, as a proxy does; then other memories take them over, one after the other.
import { mkdtempSync, rmSync } from "node:fs";
import { Command } from "commander";
import * as WorkerLayout from "../assembly/shared/layout/worker.ts";
import { FlowFile } from "../src/dataplane/io/flow-file.ts";
import { adoptFlows } from "../src/dataplane/modules/adoption.ts";
import { flowCount, readCounters } from "../src/memory/counters.ts";
import { tcpPacket } from "../test/support/packet-builder.ts";
import { BenchNode, instance, NODE, NOW_US, TABLES } from "./bench-node.ts";
import { summarise } from "./statistics.ts";
import { wholeNumber } from "./whole-number.ts";

const FOLDER = "/dev/shm/sapwood-bench-";
const PORTS_PER_CLIENT = 50_000;
const FIRST_PORT = 1024;
/** Behind virtio_net_hdr and IPv4 header. */
const SOURCE_PORT_AT = 10 + 20;
const CALLED = "10.30.0.1";

const command = new Command("bench adoption")
  .description("Measures how long taking over the flows of the process before takes.")
  .option("--flows <n>", "how many", wholeNumber, 1_000_000)
  .option("--rounds <n>", "how often they are taken over", wholeNumber, 5)
  .parse();
const { flows, rounds } = command.opts<{ readonly flows: number; readonly rounds: number }>();

const clients = Array.from({ length: Math.ceil(flows / PORTS_PER_CLIENT) }, (_, i) =>
  instance(NODE, [`10.18.1.${i + 1}`, `fc00::18:1:${i + 1}`], [`10.30.3.${i + 1}`, `fdff::3:${i + 1}`]),
).map((client, i) => ({ ...client, number: i + 1 }));
const services = [
  { name: "client", addresses: [], instances: clients },
  ...TABLES.services.filter(({ name }) => name === "server"),
];
const templates: Uint8Array[] = []; // by client
const folder = mkdtempSync(FOLDER);
try {
  const first = await start();
  first.file.commit();
  await openFlows(first.node);
  const opened = flowCount(first.node.shared);
  first.file.close();
  const tookMs: number[] = [];
  const processorMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { node, file } = await start();
    const beganMs = performance.now();
    const cpuBefore = process.cpuUsage();
    await adoptFlows(node.shared, file, NOW_US / 1000);
    file.commit();
    tookMs.push(performance.now() - beganMs);
    const { user, system } = process.cpuUsage(cpuBefore);
    processorMs.push((user + system) / 1000);
    file.close();
    const { flowsAdopted = 0 } = readCounters(node.shared).counters;
    if (flowsAdopted !== opened) throw new Error(`${flowsAdopted} of ${opened} flows were taken over`);
  }
  const { median, min } = summarise(tookMs);
  process.stdout.write(
    `${opened} flows taken over in ${Math.round(median)} ms (median of ${rounds}, least ${Math.round(min)}), ` +
      `${Math.round(summarise(processorMs).median)} ms of processor time\n`,
  );
} finally {
  rmSync(folder, { recursive: true });
}

async function start(): Promise<{ node: BenchNode; file: FlowFile }> {
  const node = await BenchNode.create({ capacities: { flows }, services });
  const file = FlowFile.tryOpen({ shared: node.shared, folder, clockOriginMs: 0 });
  if (file?.problem !== undefined || file === undefined) throw new Error(file?.problem ?? `${folder} is locked`);
  return { node, file };
}

async function openFlows(node: BenchNode): Promise<void> {
  for (let done = 0; done < flows; done += WorkerLayout.BATCH_SIZE) {
    const count = Math.min(WorkerLayout.BATCH_SIZE, flows - done);
    for (let slot = 0; slot < count; slot++) {
      const client = Math.floor((done + slot) / PORTS_PER_CLIENT);
      const port = FIRST_PORT + ((done + slot) % PORTS_PER_CLIENT);
      node.io.putFrame(slot, frameOf(client, port));
    }
    node.engine.egress(0, count, NOW_US);
    // The file grows by a timer, by some 22,000 flows each 50 ms.
    if (done % (128 * WorkerLayout.BATCH_SIZE) === 0) await new Promise((resolve) => setTimeout(resolve, 60));
  }
}

function frameOf(client: number, port: number): Uint8Array {
  templates[client] ??= tcpPacket(`10.18.1.${client + 1}`, CALLED, { sport: 1, dport: 80 }, 24).frame();
  const frame = templates[client];
  frame[SOURCE_PORT_AT] = port >>> 8;
  frame[SOURCE_PORT_AT + 1] = port & 255;
  return frame;
}
