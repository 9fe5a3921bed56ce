// `npm run fuzz`: hostile input of a kind for as long as one likes. Ends with an error that names the seed when a judge finds
// a fault. docs/testing.md says what is judged.
import { cpus, release } from "node:os";
import process from "node:process";
import { Command, Option } from "commander";
import { builtModulePath, compileFile, ENGINE_SHAPE } from "../src/dataplane/modules/wasm.ts";
import { fuzz as fuzzPair } from "../test/support/canary-fuzz.ts";
import { Corpus } from "../test/support/fuzz/corpus.ts";
import { keepEngineCases } from "../test/support/fuzz/engine-corpus.ts";
import { fuzzEngine } from "../test/support/fuzz/engine-fuzz.ts";
import { FoundCase, fuzzReader, smallest } from "../test/support/fuzz/reader-fuzz.ts";
import { READERS } from "../test/support/fuzz/readers.ts";
import { fuzzTwin } from "../test/support/fuzz/twin-fuzz.ts";
import { wholeNumber } from "./whole-number.ts";

/** What one round of a target did. */
interface Round {
  readonly cases: number;
  readonly counts: Readonly<Record<string, number>>;
}

interface Target {
  readonly about: string;
  /** Cases of a round, which has a world of its own. */
  readonly roundCases: number;
  readonly cases: number;
  run(seed: number, cases: number): Promise<Round>;
  close?(): Promise<void>;
}

const ENGINE_CORPUS = "test/corpus/engine.jsonl";
const CORPUS = new Corpus("test/corpus");

/** Keeps a fault that it finds; with `isKeeping`, also a mutant for each part of the sources that ran. */
async function readerTarget(name: string, isKeeping: boolean): Promise<Target> {
  const reader = await (READERS[name] as (typeof READERS)[string])();
  return {
    about: `mutants for the reader "${name}"`,
    roundCases: 20_000,
    cases: 20_000,
    async run(seed, cases) {
      const corpus = CORPUS.cases(name).map(({ input }) => input);
      try {
        const round = await fuzzReader(reader, { seed, cases, corpus });
        if (isKeeping) for (const input of await smallest(reader, round.kept)) CORPUS.keep(name, input);
        return { cases, counts: { "mutants that made something new run": round.kept.length } };
      } catch (error) {
        if (error instanceof FoundCase) process.stderr.write(`kept as ${CORPUS.keep(name, error.input)}\n`);
        throw error;
      }
    },
    close: async () => await reader.close?.(),
  };
}

const ENGINE_TARGETS: Readonly<Record<string, (engine: string, isKeeping: boolean) => Promise<Target>>> = {
  engine: async (engine, isKeeping) => {
    const module = await compileFile(engine, ENGINE_SHAPE);
    return {
      about: "mutated packets through an engine",
      roundCases: 2_000_000,
      cases: 10_000_000,
      async run(seed, cases) {
        const { packetsIn, packetsJudged, counts, kept } = await fuzzEngine(module, seed, cases);
        if (isKeeping) keepEngineCases(ENGINE_CORPUS, kept);
        return { cases: packetsIn, counts: { ...counts, "packets out that were judged byte by byte": packetsJudged } };
      },
    };
  },
  twin: async () => ({
    about: "mutated packets through the engine of this build and its slow twin, which is the judge",
    roundCases: 100_000,
    cases: 500_000,
    run: async (seed, cases) => ({ cases, counts: await fuzzTwin(seed, cases) }),
  }),
  pair: async (engine) => {
    const module = await compileFile(engine, ENGINE_SHAPE);
    return {
      about: "random traffic through two engines that differ in the bytes of their free memory",
      roundCases: 250_000,
      cases: 1_000_000,
      async run(seed, packets) {
        const { packetsIn, packetsOut, counts } = await fuzzPair({ module, seed, packets });
        return { cases: packetsIn, counts: { ...counts, "packets out that were the same": packetsOut } };
      },
    };
  },
};

const options = new Command("npm run fuzz --")
  .description("Looks for input that an engine or a reader cannot cope with.")
  .addOption(
    new Option("--target <name>", "what to try")
      .choices([...Object.keys(ENGINE_TARGETS), ...Object.keys(READERS)])
      .default("engine"),
  )
  .option("--packets <n>", "packets or other cases to try; by default what takes less than a minute", wholeNumber)
  .option("--seed <n>", "of the first round; each one after has the next", wholeNumber, 1)
  .option("--engine <file>", "module to try", builtModulePath("engine"))
  .option(
    "--minimize",
    "keep in test/corpus the shortest cases that end in a new way, or run a new part of the sources",
    false,
  )
  .parse()
  .opts<{
    readonly target: string;
    readonly packets?: number;
    readonly seed: number;
    readonly engine: string;
    readonly minimize: boolean;
  }>();

const target = await (ENGINE_TARGETS[options.target]?.(options.engine, options.minimize) ??
  readerTarget(options.target, options.minimize));
const wanted = options.packets ?? target.cases;
let isEnding = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    isEnding = true;
  });
}

const started = { at: new Date(), ms: performance.now(), usage: process.cpuUsage() };
const counts = new Map<string, number>();
let cases = 0;
let seed = options.seed;
for (; cases < wanted && !isEnding; seed++) {
  const round = await target.run(seed, Math.min(target.roundCases, wanted - cases));
  cases += round.cases;
  for (const [name, count] of Object.entries(round.counts)) counts.set(name, (counts.get(name) ?? 0) + count);
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${cases} cases, seed ${seed}`);
  // A signal is heard between two rounds only.
  await new Promise((resolve) => setImmediate(resolve));
}
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");

await target.close?.();

const { user, system } = process.cpuUsage(started.usage);
for (const [name, count] of [...counts].sort(([a], [b]) => a.localeCompare(b))) {
  process.stdout.write(`${name.padEnd(44)} ${count}\n`);
}
process.stdout.write(
  `${cases} cases, ${target.about}; seeds ${options.seed} to ${seed - 1}; no fault. ` +
    `${((performance.now() - started.ms) / 1000).toFixed(0)} s, of which ${((user + system) / 1e6).toFixed(0)} s on a processor; ` +
    `began ${started.at.toISOString()}; ${cpus()[0]?.model}, Linux ${release()}, Node.js ${process.versions.node}.\n`,
);
