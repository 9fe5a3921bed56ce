// `npm run bench -- control-plane`: what very many services cost the control plane of one node: until it is ready, its
// memory, reloads and changes of all kinds, and how long its control socket is silent meanwhile. No traffic runs.
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Command } from "commander";
import { SapwoodError } from "../src/base/errors.ts";
import { renderTable } from "../src/base/text-table.ts";
import { Sandbox, type SandboxProgram } from "../src/lab/sandbox.ts";
import { build } from "../src/lab/topology.ts";
import type { StatusReport } from "../src/model/reports.ts";
import { ask } from "./control-request.ts";
import { publish } from "./history.ts";
import { sapwood } from "./path/drops.ts";
import { describeMachine, sourceCommit, thisMachine } from "./path/machine.ts";
import { figure } from "./path/report.ts";
import { CLIENT_NODE, TOPOLOGY } from "./path/scenario.ts";
import { manyServicesConfig, weightPatch } from "./publish/many-services.ts";
import { summarise } from "./statistics.ts";
import { wholeNumber } from "./whole-number.ts";

const TICKS_PER_SECOND = 100; // USER_HZ
const START_TIMEOUT_MS = 300_000;
const RELOAD_TIMEOUT_MS = 300_000;
/** Between two looks whether a file was read. */
const LOOK_MS = 5;
const MIB = 2 ** 20;
const CHANGED_SHARE = 10; // of the services, one in ten

interface Options {
  readonly sizes: readonly number[];
  readonly each: number;
  readonly repeat: number;
  readonly cpuProf?: string;
  readonly publish?: true;
}

interface Row {
  readonly name: string;
  readonly unit: string;
  readonly value: number | undefined; // undefined = refused
}

const options = new Command("bench control-plane")
  .description("Measures what very many services cost the control plane.")
  .option("--sizes <n,n>", "numbers of services", (text) => text.split(",").map(wholeNumber), [1_000, 10_000])
  .option("--each <n>", "instances of each service", wholeNumber, 10)
  .option("--repeat <n>", "how often what is short is measured", wholeNumber, 5)
  .option("--cpu-prof <folder>", "have the proxy leave a profile there")
  .option("--publish", "add the figures to bench/results/history.jsonl")
  .parse()
  .opts<Options>();

const columns: { readonly services: number; readonly rows: readonly Row[] }[] = [];

async function measure(services: number): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "sapwood-control-plane-"));
  const sandbox = await Sandbox.open();
  try {
    await build(sandbox, TOPOLOGY);
    return await new Measurement(sandbox, folder, { services, instances: services * options.each }).run();
  } finally {
    await sandbox.close();
    rmSync(folder, { recursive: true });
  }
}

class Measurement {
  readonly #sandbox: Sandbox;
  readonly #folder: string;
  readonly #size: { readonly services: number; readonly instances: number };
  readonly #socket: string;
  readonly #rows: Row[] = [];
  #mostBytes = 0;

  constructor(sandbox: Sandbox, folder: string, size: { readonly services: number; readonly instances: number }) {
    this.#sandbox = sandbox;
    this.#folder = folder;
    this.#size = size;
    this.#socket = join(folder, "control.sock");
  }

  async run(): Promise<Row[]> {
    const size = this.#size;
    const some = Math.max(1, Math.floor(size.services / CHANGED_SHARE));
    const config = join(this.#folder, "node.json");
    writeFileSync(config, manyServicesConfig(size, 1));
    const patch = weightPatch(size, some, 9);
    const { nodes, services } = JSON.parse(manyServicesConfig(size, 7));
    const all = Buffer.from(JSON.stringify({ nodes, services }));
    const startMs = performance.now();
    const proxy = await this.#start(config);
    this.#note("ready after", "s", (performance.now() - startMs) / 1000);
    this.#note("ready after: processor time", "s", await this.#processorSeconds());
    const { memory } = await this.#status();
    this.#note("memory when ready", "MiB", memory.rssBytes / MIB);
    await this.#timed("status", "GET", "/v1/status");
    await this.#timed("one changed service", "PATCH", "/v1/tables", (i) => weightPatch(size, 1, i + 2));
    await this.#busy("a tenth of the services changed", () => this.#send("PATCH", "/v1/tables", patch));
    await this.#busy("apply of all, all changed", () => this.#send("POST", "/v1/tables", all));
    this.#prepare(config, manyServicesConfig(size, 3));
    await this.#busy("reload, all changed", () => this.#reload(config));
    this.#prepare(config, `${manyServicesConfig(size, 3)}\n`);
    await this.#busy("reload, nothing changed", () => this.#reload(config));
    await this.#busy("services", () => this.#send("GET", "/v1/services"));
    this.#note("most memory that was seen", "MiB", this.#mostBytes / MIB);
    await proxy.stop();
    return this.#rows;
  }

  async #start(config: string): Promise<SandboxProgram> {
    const [node = "", ...args] = sapwood("run", "--config", config, "--socket", this.#socket);
    const profile = options.cpuProf === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${options.cpuProf}`];
    const proxy = this.#sandbox.start([node, ...profile, ...args], CLIENT_NODE.id);
    await proxy.until("the proxy to be ready", ({ stdout }) => stdout.includes("ready"), START_TIMEOUT_MS);
    return proxy;
  }

  #send(method: string, path: string, body?: string | Buffer): Promise<Buffer> {
    return ask(this.#socket, method, path, body);
  }

  #note(name: string, unit: string, value: number | undefined): void {
    this.#rows.push({ name, unit, value });
  }

  /** The median of some requests, one after the other. */
  async #timed(name: string, method: string, path: string, bodyOf: (i: number) => string = () => ""): Promise<void> {
    const times: number[] = [];
    for (let i = 0; i < options.repeat; i++) {
      const startMs = performance.now();
      await this.#send(method, path, bodyOf(i));
      times.push(performance.now() - startMs);
    }
    this.#note(name, "ms", summarise(times).median);
  }

  /** How long it takes, and the longest time for which another request found no answer meanwhile. */
  async #busy(name: string, work: () => Promise<unknown>): Promise<void> {
    const looker = new Worker(new URL("./control-silence.js", import.meta.url), { workerData: this.#socket });
    await once(looker, "message");
    const before = await this.#processorSeconds();
    const startMs = performance.now();
    const isRefused = await work().then(
      () => false,
      (error) => {
        if (error instanceof SapwoodError) return true;
        throw error;
      },
    );
    const seconds = (performance.now() - startMs) / 1000;
    this.#note(name, "s", isRefused ? undefined : seconds);
    this.#note(`${name}: processor time`, "s", (await this.#processorSeconds()) - before);
    looker.postMessage("end");
    const [{ longestMs, mostBytes }] = await once(looker, "message");
    this.#note(`${name}: longest silence`, "ms", longestMs);
    this.#mostBytes = Math.max(this.#mostBytes, mostBytes);
  }

  /** Of the proxy and of the processes that it started and that have ended: utime to cstime of proc_pid_stat(5). */
  async #processorSeconds(): Promise<number> {
    const script = `for p in /proc/[0-9]*; do case "$(tr '\\0' ' ' < $p/cmdline)" in "${process.execPath} "*"main.js run "*"${this.#socket} "*) cat $p/stat;; esac; done`;
    const stat = await this.#sandbox.expect(["sh", "-c", script], CLIENT_NODE.id);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
  }

  #prepare(config: string, text: string): void {
    writeFileSync(`${config}.next`, text);
  }

  /** Puts the prepared text in the place of the file, and waits until it was read. */
  async #reload(config: string): Promise<void> {
    const before = (await this.#status()).lastReload?.at;
    renameSync(`${config}.next`, config);
    const endMs = performance.now() + RELOAD_TIMEOUT_MS;
    while (performance.now() < endMs) {
      const { lastReload } = await this.#status();
      if (lastReload?.ok === false) throw new Error(`the reload was refused: ${lastReload.error?.message}`);
      if (lastReload !== undefined && lastReload.at !== before) return;
      await pause(LOOK_MS);
    }
    throw new Error(`the file was not read within ${RELOAD_TIMEOUT_MS} ms`);
  }

  async #status(): Promise<StatusReport> {
    return JSON.parse((await this.#send("GET", "/v1/status")).toString());
  }
}

function conclude(): void {
  const heads = columns.map(({ services }) => ({ right: `${figure(services)} services` }));
  const names = columns[0]?.rows.map(({ name, unit }) => `${name}, ${unit}`) ?? [];
  const cells = names.map((name, i) => [name, ...columns.map(({ rows }) => cellOf(rows[i]))]);
  const machine = thisMachine();
  process.stdout.write(
    `${renderTable([`${options.each} instances each`, ...heads], cells)}\n` +
      `Load ${loadavg()[0]?.toFixed(1)}. ${describeMachine(machine)}; commit ${sourceCommit()}\n`,
  );
  if (!options.publish) return;
  const figures = columns.flatMap(({ services, rows }) =>
    rows.flatMap(({ name, unit, value }) => (value === undefined ? [] : { name: `${services}: ${name}`, value, unit })),
  );
  publish("control-plane", { sizes: options.sizes, each: options.each }, figures);
}

function cellOf(row: Row | undefined): string {
  return row?.value === undefined ? "refused" : figure(row.value);
}

for (const services of options.sizes) columns.push({ services, rows: await measure(services) });
conclude();
