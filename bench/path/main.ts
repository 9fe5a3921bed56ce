// `npm run bench path`: the whole way from a client to a service on another node, through sapwood and, in turns with
// it, through the kernel's own overlay on the same network. Everything runs in private namespaces and ends with it.
import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { SapwoodError } from "../../src/base/errors.ts";
import { publish } from "../history.ts";
import { wholeNumber } from "../whole-number.ts";
import { renderChart } from "./chart.ts";
import { openKernelPath } from "./kernel-path.ts";
import {
  describeMachine,
  LOAD_CHECK_MS,
  LOAD_MAX,
  loadOf,
  requireTools,
  sourceCommit,
  thisMachine,
} from "./machine.ts";
import { MEASUREMENTS } from "./measurements.ts";
import {
  CAPTURED,
  type Comparison,
  ENCRYPTED,
  OTHER,
  PATH_NAMES,
  type Path,
  type PathName,
  PLAIN,
  TUNED,
} from "./path.ts";
import { type Report, type Row, ratiosOf, renderDrops, renderResults, rowsOf } from "./report.ts";
import { measureInTurns, type Series } from "./rounds.ts";
import { openSapwoodPath } from "./sapwood-path.ts";

const RESULTS = fileURLToPath(new URL("../../../bench/results/", import.meta.url));
const PACKAGES = { iperf3: "iperf3", nft: "nftables", ip: "iproute2", taskset: "util-linux" };

interface Options {
  readonly json?: true;
  readonly publish?: true;
  readonly encrypted?: true;
  readonly captured?: true;
  readonly beside?: string;
  readonly tuned?: true;
  readonly only?: string;
  readonly path?: PathName;
  readonly queues?: number;
  readonly rounds: number;
  readonly seconds: number;
}

const options = new Command("bench path")
  .description("Measures the whole path between two nodes, through sapwood and through the kernel in turns.")
  .option("--json", "print one JSON object")
  .option("--publish", "write bench/results, and add the figures to its history")
  .option("--only <text>", "take the measurements whose name contains the text: tcp1, udp64, rtt, v6 ...")
  .option("--path <name>", "measure one path alone: sapwood or kernel", pathName)
  .option("--encrypted", "compare both inside WireGuard, beside sapwood in clear")
  .option("--captured", "compare sapwood while all packets of both nodes are captured with sapwood alone")
  .option("--beside <folder>", "measure the sapwood of another checkout, built, as well")
  .option("--tuned", "measure the kernel with RPS on as well")
  .option("--queues <n>", "tun.queues of sapwood (default: its own choice)", wholeNumber)
  .option("--rounds <n>", "how often each measurement is taken on each path", wholeNumber, 3)
  .option("--seconds <n>", "time for each measurement", wholeNumber, 3)
  .parse()
  .opts<Options>();

const COMPARISONS = comparisonsOf(options);
const measurements = MEASUREMENTS.filter(({ name }) => options.only === undefined || name.includes(options.only));
await run();

async function run(): Promise<void> {
  if (measurements.length === 0) {
    const names = MEASUREMENTS.map(({ name }) => name).join(", ");
    throw new SapwoodError("usage", `--only must be part of a measurement's name (${names}); found "${options.only}".`);
  }
  requireTools(PACKAGES);
  const otherLoad = await loadOf(LOAD_CHECK_MS);
  if (otherLoad > LOAD_MAX) {
    const share = `${Math.round(otherLoad * 100)} %`;
    process.stderr.write(
      `The machine is ${share} busy with other things; the figures will be off, and the ratios too.\n`,
    );
  }
  const paths: Path[] = [];
  try {
    const { queues, beside } = options;
    if (options.path !== "kernel") {
      if (options.encrypted) paths.push(await openSapwoodPath({ name: "sapwood encrypted", queues }));
      if (options.captured) paths.push(await openSapwoodPath({ name: "sapwood captured", queues }));
      paths.push(await openSapwoodPath({ name: "sapwood", queues }));
      const program = beside === undefined ? undefined : resolve(beside, "dist/src/main.js");
      if (program !== undefined) paths.push(await openSapwoodPath({ name: "other sapwood", queues, program }));
    }
    if (options.path !== "sapwood" && !options.captured) {
      paths.push(await openKernelPath(options.encrypted ? "kernel encrypted" : "kernel"));
      if (options.tuned) paths.push(await openKernelPath("kernel tuned"));
    }
    const series = await measureInTurns(paths, { ...options, measurements }, showProgress);
    const drops = await Promise.all(paths.map(async ({ name, drops }) => prefixed(name, await drops())));
    showProgress(1, "");
    conclude(series, Object.assign({}, ...drops));
  } finally {
    await Promise.all(paths.map((path) => path.close()));
  }
}

/** What the ratios are. The first is what the chart shows. */
function comparisonsOf({ encrypted, captured, beside, tuned }: Options): Comparison[] {
  if (encrypted) return [ENCRYPTED];
  if (captured) return [CAPTURED];
  return [PLAIN, ...(beside === undefined ? [] : [OTHER]), ...(tuned ? [TUNED] : [])];
}

/** By path and node: two paths have nodes of the same names. */
function prefixed(path: PathName, drops: Report["drops"]): Report["drops"] {
  if (path === "sapwood") return drops;
  return Object.fromEntries(Object.entries(drops).map(([node, byReason]) => [`${node} (${path})`, byReason]));
}

function conclude(series: readonly Series[], drops: Report["drops"]): void {
  const { rounds, seconds, queues = "default" } = options;
  const machine = thisMachine();
  const commit = sourceCommit();
  const date = new Date().toISOString();
  const rows = rowsOf(series, COMPARISONS);
  const results = rows.flatMap((row) => row.results);
  const report: Report = { machine, commit, date, rounds, seconds, queues, results, ratios: ratiosOf(rows), drops };
  const json = `${JSON.stringify(report, null, 2)}\n`;
  process.stdout.write(
    options.json ? json : `${renderResults(rows)}\n${Object.keys(drops).length > 0 ? renderDrops(drops) : ""}`,
  );

  if (!options.publish) return;
  const figures = results.map(({ name, path, value, unit }) => ({ name: `${name} ${path}`, value, unit }));
  const ratios = Object.entries(report.ratios).flatMap(([compared, byMetric]) => {
    return Object.entries(byMetric).map(([name, value]) => ({ name: `${name} ${compared}`, value, unit: "ratio" }));
  });
  publish("path", { rounds, seconds, queues }, [...figures, ...ratios]);
  // A part of the measurements would replace the whole.
  if (options.only !== undefined || options.path !== undefined || options.captured) return;
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${RESULTS}path${options.encrypted ? "-encrypted" : ""}.json`, json);
  if (options.encrypted) return;
  const caption = `${describeMachine(machine)}; ${date.slice(0, 10)}, commit ${commit}; medians of ${rounds} x ${seconds} s`;
  writeFileSync(`${RESULTS}path.svg`, renderChart(rows.map(ofPlainPaths), caption));
}

/** Two bars are what the chart has room for. */
function ofPlainPaths(row: Row): Row {
  return { ...row, results: row.results.filter(({ path }) => PATH_NAMES.some((name) => name === path)) };
}

function showProgress(done: number, what: string): void {
  if (!process.stderr.isTTY) return;
  process.stderr.write(what === "" ? "\r\x1b[K" : `\r\x1b[K${String(Math.round(done * 100)).padStart(3)} % ${what}`);
}

function pathName(text: string): PathName {
  const name = PATH_NAMES.find((known) => known === text);
  if (name === undefined) throw new InvalidArgumentError(`expected ${PATH_NAMES.join(" or ")}.`);
  return name;
}
