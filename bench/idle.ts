// `npm run bench -- idle`: what a proxy costs that nobody uses, with one other node that it probes: how often its
// threads wake, and the processor time that it takes.
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import { Lab } from "../src/lab/lab.ts";
import { DEMO, type Topology } from "../src/lab/topology.ts";
import { publish } from "./history.ts";
import { spread, summarise } from "./statistics.ts";
import { costsBetween, residentMiB, threadCosts } from "./thread-cost.ts";
import { wholeNumber } from "./whole-number.ts";

const NODE = "node-a";
/** What a start begins is over by then: the trial process has ended, the sizes of paths are known. */
const SETTLE_MS = 45_000;
const ROUND_MS = 10_000;

const { rounds, publish: isPublished } = new Command("bench idle")
  .description("Measures wake-ups and processor time of a proxy without traffic.")
  .option("--rounds <n>", "rounds of ten seconds", wholeNumber, 5)
  .option("--publish", "add the figures to the history")
  .parse()
  .opts<{ readonly rounds: number; readonly publish?: true }>();

const lab = await Lab.open(pairOf(DEMO));
try {
  await lab.startProxies();
  await pause(SETTLE_MS);
  const cpuMs: number[] = [];
  const wakeUps: number[] = [];
  const threads = new Map<string, { readonly rates: number[]; readonly cpuMs: number[] }>();
  let before = await readCosts();
  for (let round = 0; round < rounds; round++) {
    await pause(ROUND_MS);
    const now = await readCosts();
    const seconds = (now.atMs - before.atMs) / 1000;
    const costs = [...costsBetween(before.costs, now.costs)];
    cpuMs.push((costs.reduce((sum, [, cost]) => sum + cost.cpuMs, 0) / seconds) * 10);
    wakeUps.push(costs.reduce((sum, [, { sleeps }]) => sum + sleeps / seconds, 0));
    for (const [thread, cost] of costs) {
      const figures = threads.get(thread) ?? { rates: [], cpuMs: [] };
      threads.set(thread, figures);
      figures.rates.push(cost.sleeps / seconds);
      figures.cpuMs.push((cost.cpuMs / seconds) * 10);
    }
    before = now;
  }
  process.stdout.write(`${rounds} rounds of 10 s, load ${loadavg()[0]?.toFixed(1)}; median (least to most)\n`);
  process.stdout.write(`processor time per 10 s: ${spread(cpuMs, 1)} ms\nwake-ups per second: ${spread(wakeUps, 1)}\n`);
  const memoryMiB = await residentMiB(lab.sandbox, NODE);
  process.stdout.write(`resident memory: ${memoryMiB.toFixed(0)} MiB\n`);
  for (const [thread, figures] of threads) {
    if (summarise(figures.rates).max === 0) continue;
    const text = `${spread(figures.cpuMs, 1)} ms, ${spread(figures.rates, 1)} wake-ups`;
    process.stdout.write(`  thread ${thread}: ${text}\n`);
  }
  if (isPublished) {
    publish("idle", { rounds }, [
      { name: "processor time per 10 s", value: summarise(cpuMs).median, unit: "ms" },
      { name: "wake-ups", value: summarise(wakeUps).median, unit: "1/s" },
      { name: "resident memory", value: memoryMiB, unit: "MiB" },
    ]);
  }
} finally {
  await lab.close();
}

/** Two nodes with a workload each. */
function pairOf(topology: Topology): Topology {
  const nodes = topology.nodes.slice(0, 2);
  const isKept = ({ node }: { readonly node: string }): boolean => nodes.some(({ id }) => id === node);
  const services = topology.services
    .map((service) => ({ ...service, instances: service.instances.filter(isKept) }))
    .filter(({ instances }) => instances.length > 0);
  return { ...topology, nodes, workloads: topology.workloads.filter(isKept), services };
}

async function readCosts() {
  return { atMs: performance.now(), costs: await threadCosts(lab.sandbox, NODE) };
}
