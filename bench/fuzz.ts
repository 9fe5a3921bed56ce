// `npm run bench fuzz`: random traffic of all kinds through two engines that differ in the bytes of their free memory. Ends with
// an error when one byte that comes out, or one counter, depends on them.
import { Command } from "commander";
import { builtModulePath, compileFile, ENGINE_SHAPE } from "../src/dataplane/modules/wasm.ts";
import { fuzz } from "../test/support/canary-fuzz.ts";
import type { CountName } from "../test/support/reference/counts.ts";
import { wholeNumber } from "./whole-number.ts";

/** Each round has a world of its own. */
const ROUND = 250_000;

const { packets, seed, engine } = new Command("bench fuzz")
  .description("Looks for bytes that leave an engine and come from elsewhere than the packet in hand.")
  .option("--packets <n>", "frames and messages to send through it", wholeNumber, 10_000_000)
  .option("--seed <n>", "of the first round; each one after has the next", wholeNumber, 1)
  .option("--engine <file>", "module to try", builtModulePath("engine"))
  .parse()
  .opts<{ readonly packets: number; readonly seed: number; readonly engine: string }>();

const module = await compileFile(engine, ENGINE_SHAPE);
const startedMs = performance.now();
const totals = { packetsIn: 0, packetsOut: 0, bytesOut: 0 };
const counts = new Map<CountName, number>();
for (let round = seed; totals.packetsIn < packets; round++) {
  const result = await fuzz({ module, seed: round, packets: Math.min(ROUND, packets - totals.packetsIn) });
  totals.packetsIn += result.packetsIn;
  totals.packetsOut += result.packetsOut;
  totals.bytesOut += result.bytesOut;
  for (const [name, count] of Object.entries(result.counts) as [CountName, number][]) {
    counts.set(name, (counts.get(name) ?? 0) + count);
  }
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${totals.packetsIn} packets, seed ${round}`);
}
if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
const seconds = (performance.now() - startedMs) / 1000;
for (const [name, count] of [...counts].sort(([a], [b]) => a.localeCompare(b))) {
  process.stdout.write(`${name.padEnd(40)} ${count}\n`);
}
process.stdout.write(
  `${totals.packetsIn} frames and messages in, ${totals.packetsOut} packets and ${totals.bytesOut} bytes out, ` +
    `all the same from both engines; ${seconds.toFixed(0)} s.\n`,
);
