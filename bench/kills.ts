// `npm run bench -- kills`: how long connections are silent when the proxy of the client's node is killed and started
// again at once: with a TUN that ends with the process, with one that outlives it, and with descriptors that a program
// keeps in the place of systemd, in turns. One lab; the client's connections are busy and stay the same.
import { loadavg } from "node:os";
import { Command } from "commander";
import { Lab } from "../src/lab/lab.ts";
import { tablesOf } from "../src/lab/node-config.ts";
import { DEMO } from "../src/lab/topology.ts";
import { killManaged, startManaged } from "../test/support/kept-descriptors.ts";
import { killAndRestart, report, startExchanges } from "../test/support/kept-exchanges.ts";
import { summarise } from "./statistics.ts";
import { wholeNumber } from "./whole-number.ts";

const NODE = "node-a";

/** A proxy that runs, as it is started for a kind of kills. */
interface Killable {
  /** Resolves when the next process is ready. */
  kill(): Promise<unknown>;
  stop(): Promise<unknown>;
}

const KINDS = [
  { name: "the TUN ends with the process", start: alone({ tun: { persist: false } }) },
  { name: "the TUN outlives the process", start: alone({ tun: { persist: true } }) },
  { name: "descriptors are kept as well", start: managed },
].map((kind) => ({ ...kind, silencesMs: [] as number[], startsMs: [] as number[] }));

const { rounds } = new Command("bench kills")
  .description("Measures the longest silence of busy connections when a proxy is killed.")
  .option("--rounds <n>", "kills of each kind", wholeNumber, 10)
  .parse()
  .opts<{ readonly rounds: number }>();

const lab = await Lab.open(DEMO);
try {
  await lab.startProxies();
  const client = await startExchanges(lab);
  await lab.proxy(NODE).stop();
  for (let round = 0; round < rounds; round++) {
    for (const { start, silencesMs, startsMs } of KINDS) {
      const proxy = await start();
      await report(client);
      const beganMs = performance.now();
      await proxy.kill();
      startsMs.push(performance.now() - beganMs);
      const { broken, moved, longestSilenceMs } = await report(client);
      if (broken.length > 0 || moved > 0) throw new Error(`lost: ${broken.join(", ")}; moved: ${moved}`);
      silencesMs.push(longestSilenceMs);
      await proxy.stop();
    }
  }
} finally {
  await lab.close();
}
process.stdout.write(`${rounds} kills each, load ${loadavg()[0]?.toFixed(1)}; in ms: median (least to most)\n`);
for (const { name, silencesMs, startsMs } of KINDS) {
  process.stdout.write(`${name}: longest silence ${spread(silencesMs)}, until the next is ready ${spread(startsMs)}\n`);
}

function alone(settings: Parameters<typeof killAndRestart>[2]): () => Promise<Killable> {
  return async () => {
    await lab.startProxy(NODE, undefined, settings);
    return { kill: () => killAndRestart(lab, NODE, settings), stop: () => lab.proxy(NODE).stop() };
  };
}

async function managed(): Promise<Killable> {
  lab.writeConfig(NODE, tablesOf(DEMO));
  const manager = await startManaged(lab, NODE);
  return { kill: () => killManaged(lab, NODE, manager), stop: () => manager.stop() };
}

function spread(figures: readonly number[]): string {
  const { median, min, max } = summarise(figures);
  return `${Math.round(median)} (${Math.round(min)} to ${Math.round(max)})`;
}
