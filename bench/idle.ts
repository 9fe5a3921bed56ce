// `npm run bench -- idle`: what a proxy costs that nobody uses, with one other node that it probes: how often its
// threads wake, and the processor time that it takes.
import { loadavg } from "node:os";
import { Command } from "commander";
import { Lab } from "../src/lab/lab.ts";
import { DEMO, type Topology } from "../src/lab/topology.ts";
import { summarise } from "./statistics.ts";
import { wholeNumber } from "./whole-number.ts";

const NODE = "node-a";
/** What a start begins is over by then: the trial process has ended, the sizes of paths are known. */
const SETTLE_MS = 45_000;
const ROUND_MS = 10_000;

const { rounds } = new Command("bench idle")
  .description("Measures wake-ups and processor time of a proxy without traffic.")
  .option("--rounds <n>", "rounds of ten seconds", wholeNumber, 5)
  .parse()
  .opts<{ readonly rounds: number }>();

interface Cost {
  readonly atMs: number;
  readonly cpuMs: number;
  /** Voluntary context switches of each thread: how often it slept, and so woke. */
  readonly sleeps: ReadonlyMap<string, number>;
}

const lab = await Lab.open(pairOf(DEMO));
try {
  await lab.startProxies();
  await pause(SETTLE_MS);
  const cpuMs: number[] = [];
  const wakeUps: number[] = [];
  const threads = new Map<string, number[]>();
  let before = await readCost();
  for (let round = 0; round < rounds; round++) {
    await pause(ROUND_MS);
    const now = await readCost();
    const seconds = (now.atMs - before.atMs) / 1000;
    cpuMs.push(((now.cpuMs - before.cpuMs) / seconds) * 10);
    const perSecond = [...now.sleeps].map(
      ([thread, count]) => [thread, (count - (before.sleeps.get(thread) ?? 0)) / seconds] as const,
    );
    wakeUps.push(perSecond.reduce((sum, [, rate]) => sum + rate, 0));
    for (const [thread, rate] of perSecond) threads.set(thread, [...(threads.get(thread) ?? []), rate]);
    before = now;
  }
  process.stdout.write(`${rounds} rounds of 10 s, load ${loadavg()[0]?.toFixed(1)}; median (least to most)\n`);
  process.stdout.write(`processor time per 10 s: ${spread(cpuMs)} ms\nwake-ups per second: ${spread(wakeUps)}\n`);
  for (const [thread, rates] of threads) {
    if (summarise(rates).max > 0) process.stdout.write(`  thread ${thread}: ${spread(rates)}\n`);
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

/** Of the proxy, as the kernel tells: proc(5), and Documentation/scheduler/sched-stats.rst. */
async function readCost(): Promise<Cost> {
  // Other labs may run on this machine: only what was started in this one counts.
  const script = `own=$(readlink /proc/self/ns/pid); for p in /proc/[0-9]*; do
    [ "$(readlink $p/ns/pid)" = "$own" ] || continue
    case "$(tr '\\0' ' ' < $p/cmdline)" in ${process.execPath}" "*"main.js run --config "*${NODE}*) ;; *) continue ;; esac
    grep -H . $p/task/*/schedstat; grep -H ^voluntary $p/task/*/status; done`;
  const text = await lab.sandbox.expect(["sh", "-c", script], NODE);
  const rows = text.split("\n").map((line) => /task\/(\d+)\/(\w+):(?:voluntary\D*)?(\d+)/.exec(line) ?? []);
  const of = (file: string): [string, number][] =>
    rows.flatMap(([, thread = "", from, figure]) => (from === file ? [[thread, Number(figure)]] : []));
  return {
    atMs: performance.now(),
    cpuMs: of("schedstat").reduce((sum, [, nanoseconds]) => sum + nanoseconds, 0) / 1e6,
    sleeps: new Map(of("status")),
  };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function spread(figures: readonly number[]): string {
  const { median, min, max } = summarise(figures);
  return `${median.toFixed(1)} (${min.toFixed(1)} to ${max.toFixed(1)})`;
}
