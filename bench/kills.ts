// `npm run bench -- kills`: how long connections are silent when proxies are killed at a random moment and started again
// at once: with a TUN that ends with the process, with one that outlives it, and with descriptors that a program keeps in
// the place of systemd, in turns. One lab; the client's connections are busy and idle, and stay the same. As soon as the
// proxies are killed, it opens new ones as well.
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { Command, InvalidArgumentError } from "commander";
import { Lab } from "../src/lab/lab.ts";
import { tablesOf } from "../src/lab/node-config.ts";
import { DEMO } from "../src/lab/topology.ts";
import { beginKill, startManaged } from "../test/support/kept-descriptors.ts";
import { killAndRestart, reportWithRefused, startExchanges } from "../test/support/kept-exchanges.ts";
import { Random } from "../test/support/random.ts";
import { spread } from "./statistics.ts";
import { wholeNumber } from "./whole-number.ts";

const CLIENT_NODE = "node-a";
const SERVER_NODE = "node-b";
/** The moment of a kill, after the load went on. */
const KILLED_AFTER_MOST_MS = 400;
/** Of a busy connection, between an answer and the next question. */
const EXCHANGE_PAUSE_MS = 5;

/** A proxy that runs, as it is started for a kind of kills. */
interface Killable {
  /** Resolves when it is killed; `ready` does when the next one is. */
  kill(): Promise<{ readonly ready: Promise<unknown> }>;
  stop(): Promise<unknown>;
}

type Start = (node: string) => Promise<Killable>;

const KINDS: readonly { readonly name: string; readonly nodes: readonly string[]; readonly start: Start }[] = [
  { name: "the client's, its TUN ends with it", nodes: [CLIENT_NODE], start: alone({ tun: { persist: false } }) },
  { name: "the client's, its TUN outlives it", nodes: [CLIENT_NODE], start: alone({ tun: { persist: true } }) },
  { name: "the client's, its descriptors are kept", nodes: [CLIENT_NODE], start: managed },
  { name: "the server's, its descriptors are kept", nodes: [SERVER_NODE], start: managed },
  { name: "both, their descriptors are kept", nodes: [CLIENT_NODE, SERVER_NODE], start: managed },
];

const { rounds, only, seed } = new Command("bench kills")
  .description("Measures the longest silence of busy connections when proxies are killed.")
  .option("--rounds <n>", "kills of each kind", wholeNumber, 10)
  .option("--only <text>", "the kinds whose name contains the text", "")
  .option("--seed <n>", "of the moments of the kills", wholeNumber, 1)
  .parse()
  .opts<{ readonly rounds: number; readonly only: string; readonly seed: number }>();

const random = new Random(seed);
const kinds = KINDS.filter(({ name }) => name.includes(only)).map((kind) => ({
  ...kind,
  silencesMs: [] as number[],
  startsMs: [] as number[],
  refused: 0, // new connections
}));
if (kinds.length === 0) {
  throw new InvalidArgumentError(
    `expected text of one of: ${KINDS.map(({ name }) => name).join("; ")}; found "${only}"`,
  );
}

const lab = await Lab.open(DEMO);
try {
  await lab.startProxies();
  const client = await startExchanges(lab, EXCHANGE_PAUSE_MS);
  for (let round = 0; round < rounds; round++) {
    for (const kind of kinds) {
      const { nodes, start, silencesMs, startsMs } = kind;
      await Promise.all(nodes.map((node) => lab.proxy(node).stop()));
      const proxies = await Promise.all(nodes.map(start));
      await reportWithRefused(client);
      await pause(random.below(KILLED_AFTER_MOST_MS));
      const killed = await Promise.all(proxies.map((proxy) => proxy.kill()));
      const beganMs = performance.now();
      const reported = reportWithRefused(client);
      await Promise.all(killed.map(({ ready }) => ready));
      startsMs.push(performance.now() - beganMs);
      const { broken, refused, moved, longestSilenceMs } = await reported;
      if (broken.length > 0 || moved > 0) throw new Error(`lost: ${broken.join(", ")}; moved: ${moved}`);
      silencesMs.push(longestSilenceMs);
      kind.refused += refused.length;
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await Promise.all(nodes.map((node) => lab.startProxy(node, undefined)));
    }
  }
} finally {
  await lab.close();
}
process.stdout.write(`${rounds} kills each, load ${loadavg()[0]?.toFixed(1)}; in ms: median (least to most)\n`);
for (const { name, silencesMs, startsMs, refused } of kinds) {
  process.stdout.write(
    `${name}: longest silence ${spread(silencesMs, 0)}, until the next is ready ${spread(startsMs, 0)}, ` +
      `new connections refused ${refused}\n`,
  );
}

function alone(settings: Parameters<typeof killAndRestart>[2]): Start {
  return async (node) => {
    await lab.startProxy(node, undefined, settings);
    return {
      kill: async () => ({ ready: killAndRestart(lab, node, settings) }),
      stop: () => lab.proxy(node).stop(),
    };
  };
}

async function managed(node: string): Promise<Killable> {
  lab.writeConfig(node, tablesOf(DEMO));
  const manager = await startManaged(lab, node);
  return { kill: () => beginKill(lab, node, manager), stop: () => manager.stop() };
}
