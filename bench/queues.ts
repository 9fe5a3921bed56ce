// `npm run bench -- queues`: many flows through proxies with one queue and worker, and with more, in turns: how much each
// system call carries, how often workers wake, and how many of them have something to do.
import { Command } from "commander";
import { renderTable } from "../src/base/text-table.ts";
import { controlSocket } from "../src/lab/lab.ts";
import type { CountersReport } from "../src/model/reports.ts";
import { sapwood } from "./path/drops.ts";
import { requireTools } from "./path/machine.ts";
import { MEASUREMENTS, type Measurement, WARM_UP_SECONDS } from "./path/measurements.ts";
import type { Path } from "./path/path.ts";
import { figure } from "./path/report.ts";
import { openSapwoodPath } from "./path/sapwood-path.ts";
import { CLIENT_NODE, SERVER_NODE } from "./path/scenario.ts";
import { summarise } from "./statistics.ts";
import { costsBetween, threadCosts } from "./thread-cost.ts";
import { wholeNumber } from "./whole-number.ts";

/** A thread that took less than this share of what the busiest one took has nothing to do with packets. */
const BUSY_SHARE = 0.1;
/** Less than this share of a node's packets is probes. */
const MAIN_SHARE = 0.1;
const NODES = [CLIENT_NODE.id, SERVER_NODE.id];

const { only, most, rounds, seconds } = new Command("bench queues")
  .description("Counts what packets cost proxies with one queue and with more.")
  .option("--only <text>", "the load: the measurements of `bench path` whose name contains the text", "64flows_v4")
  .option("--most <n>", "queues of the proxies that have most", wholeNumber, 2)
  .option("--rounds <n>", "turns of each", wholeNumber, 3)
  .option("--seconds <n>", "time for each measurement", wholeNumber, 3)
  .parse()
  .opts<{ readonly only: string; readonly most: number; readonly rounds: number; readonly seconds: number }>();

/** Figures of one node in one turn, by what they are. */
type Figures = Readonly<Record<string, number>>;

requireTools({ ip: "iproute2" });
const loads = MEASUREMENTS.filter(({ name }) => name.includes(only));
const paths: { readonly queues: number; readonly path: Path }[] = [];
const figures = new Map<string, number[]>();
try {
  for (let queues = 1; queues <= most; queues++) {
    const path = await openSapwoodPath({ name: "sapwood", queues });
    paths.push({ queues, path });
    for (const load of loads) await load.run(path, WARM_UP_SECONDS);
  }
  for (let round = 0; round < rounds; round++) {
    for (const load of loads) for (const { queues, path } of paths) await measure(load, queues, path);
  }
} finally {
  await Promise.all(paths.map(({ path }) => path.close()));
}
process.stdout.write(
  renderTable(
    ["medians", ...paths.map(({ queues }) => ({ right: `queues ${queues}` }) as const)],
    [...new Set([...figures.keys()].map((key) => key.slice(key.indexOf(" ") + 1)))].map((name) => [
      name,
      ...paths.map(({ queues }) => {
        const values = figures.get(`${queues} ${name}`);
        return values === undefined ? "" : figure(summarise(values).median);
      }),
    ]),
  ),
);

async function measure(load: Measurement, queues: number, path: Path): Promise<void> {
  const before = await Promise.all(NODES.map((node) => look(path, node)));
  const result = await load.run(path, seconds);
  const now = await Promise.all(NODES.map((node) => look(path, node)));
  note(queues, load.name, { arrived: result[load.name] ?? Number.NaN });
  for (const [index, node] of NODES.entries()) {
    const [first, last] = [before[index], now[index]];
    if (first !== undefined && last !== undefined) note(queues, `${load.name}, ${node}`, costOf(first, last));
  }
}

function note(queues: number, of: string, found: Figures): void {
  for (const [name, value] of Object.entries(found)) {
    const key = `${queues} ${of}: ${name}`;
    figures.set(key, [...(figures.get(key) ?? []), value]);
  }
}

interface Look {
  readonly counters: CountersReport["counters"];
  readonly threads: Awaited<ReturnType<typeof threadCosts>>;
}

async function look({ sandbox }: Path, node: string): Promise<Look> {
  const text = await sandbox.expect(sapwood("counters", "--json", "--socket", controlSocket(node)), node);
  const { counters }: CountersReport = JSON.parse(text);
  return { counters, threads: await threadCosts(sandbox, node) };
}

function costOf(before: Look, now: Look): Figures {
  const count = (name: string): number => (now.counters[name] ?? 0) - (before.counters[name] ?? 0);
  const sent = count("egressPackets");
  const received = count("ingressPackets");
  const packets = sent + received;
  const threads = [...costsBetween(before.threads, now.threads).values()];
  const busiest = Math.max(...threads.map(({ cpuMs }) => cpuMs));
  const busy = threads.filter(({ cpuMs }) => cpuMs > BUSY_SHARE * busiest);
  const total = (of: "cpuMs" | "sleeps"): number => busy.reduce((sum, thread) => sum + thread[of], 0);
  const ofSender = {
    "frames of a read from the TUN": count("tunReadFrames") / count("tunReadBatches"),
    "packets of a sent message": sent / count("udpSentMessages"),
  };
  const ofReceiver = { "packets of a receive": received / count("udpReceivedBatches") };
  return {
    ...(sent > MAIN_SHARE * packets && ofSender),
    ...(received > MAIN_SHARE * packets && ofReceiver),
    "busy threads": busy.length,
    "their wake-ups for 1,000 packets": (1000 * total("sleeps")) / packets,
    "their processor time for 1,000 packets, ms": (1000 * total("cpuMs")) / packets,
  };
}
