// `npm run bench`, or `npm run bench micro`: every microbenchmark as a table, or as one JSON array of { name, value, unit }.
import { Command, InvalidArgumentError } from "commander";
import { addressCases } from "./address.ts";
import { engineCases } from "./engine.ts";
import { flowTableCases } from "./flow-table.ts";
import { type Case, type Cases, figures, measure, type Result, table } from "./harness.ts";
import { publish } from "./history.ts";
import { newFlowCases } from "./new-flow.ts";
import { offloadCases } from "./offload.ts";
import { policyCases } from "./policy.ts";
import { serviceTextCases } from "./service-text.ts";
import { tableCases } from "./tables.ts";

/** The case files. */
const FILES: readonly Cases[] = [
  engineCases,
  offloadCases,
  flowTableCases,
  tableCases,
  serviceTextCases,
  addressCases,
  policyCases,
  newFlowCases,
];

interface Options {
  readonly json?: true;
  readonly publish?: true;
  readonly only?: string;
  readonly seconds: number;
}

function positiveSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0)) throw new InvalidArgumentError("expected a number of seconds above 0.");
  return seconds;
}

async function collect(only: string | undefined): Promise<Case[]> {
  const cases = (await Promise.all(FILES.map((file) => file()))).flat();
  return only === undefined ? cases : cases.filter((one) => one.name.includes(only));
}

const options = new Command("bench")
  .description("Measures the engine and the policies beside their twins.")
  .option("--json", "print one JSON array of { name, value, unit }")
  .option("--publish", "add the figures to bench/results/history.jsonl")
  .option("--only <text>", "run the cases whose name contains the text")
  .option("--seconds <n>", "time for each measurement", positiveSeconds, 1)
  .parse()
  .opts<Options>();

const results: Result[] = [];
for (const one of await collect(options.only)) {
  if (options.json !== true && process.stderr.isTTY) process.stderr.write(`\r\x1b[K${one.name} ...`);
  results.push(await measure(one, options.seconds));
}
if (options.json !== true && process.stderr.isTTY) process.stderr.write("\r\x1b[K");
process.stdout.write(options.json === true ? `${JSON.stringify(figures(results), null, 2)}\n` : table(results));
if (options.publish) publish("micro", { seconds: options.seconds }, figures(results));
