// `npm run bench -- kills`: how long connections are silent when the proxy of the client's node is killed and started
// again at once, with a TUN that ends with the process and with one that outlives it, in turns. One lab; the client's
// connections are busy and stay the same.
import { loadavg } from "node:os";
import { Command } from "commander";
import { Lab } from "../src/lab/lab.ts";
import { DEMO } from "../src/lab/topology.ts";
import { killAndRestart, report, startExchanges } from "../test/support/kept-exchanges.ts";
import { summarise } from "./statistics.ts";
import { wholeNumber } from "./whole-number.ts";

const NODE = "node-a";
const KINDS = [
  { name: "the TUN ends with the process", persist: false },
  { name: "the TUN outlives the process", persist: true },
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
  for (let round = 0; round < rounds; round++) {
    for (const { persist, silencesMs, startsMs } of KINDS) {
      const settings = { tun: { persist } };
      await lab.proxy(NODE).stop();
      await lab.startProxy(NODE, undefined, settings);
      await report(client);
      const beganMs = performance.now();
      await killAndRestart(lab, NODE, settings);
      startsMs.push(performance.now() - beganMs);
      const { broken, moved, longestSilenceMs } = await report(client);
      if (broken.length > 0 || moved > 0) throw new Error(`lost: ${broken.join(", ")}; moved: ${moved}`);
      silencesMs.push(longestSilenceMs);
    }
  }
} finally {
  await lab.close();
}
process.stdout.write(`${rounds} kills each, load ${loadavg()[0]?.toFixed(1)}; in ms: median (least to most)\n`);
for (const { name, silencesMs, startsMs } of KINDS) {
  process.stdout.write(`${name}: longest silence ${spread(silencesMs)}, until the next is ready ${spread(startsMs)}\n`);
}

function spread(figures: readonly number[]): string {
  const { median, min, max } = summarise(figures);
  return `${Math.round(median)} (${Math.round(min)} to ${Math.round(max)})`;
}
