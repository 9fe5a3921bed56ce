// `sapwood drain` and `sapwood undrain`: instances of a running proxy take no new flows, and take them again.

import { SapwoodError } from "../base/errors.ts";
import { canonicalName } from "../model/names.ts";
import type { AppliedReport, InstanceReport } from "../model/reports.ts";
import type { Command, CommandInput, CommandOption } from "./command.ts";
import { countText } from "./format.ts";
import { JSON_OPTION, printReport, SOCKET_OPTION } from "./query-command.ts";

/** What --json prints: the generation that has the change, and the instances that are meant, as they are then. */
interface DrainReport {
  readonly generation: number;
  readonly instances: readonly InstanceReport[];
}

interface Meant {
  readonly node: string | undefined;
  readonly service: string | undefined;
  readonly instance: number | undefined;
}

const WAIT_INTERVAL_MS = 500;
const ARGUMENTS: Command["arguments"] = [
  { name: "service", summary: "its name; may be left out with --node", isOptional: true },
  { name: "instance", summary: "number of one of its instances; without it, all", isOptional: true },
];
const NODE_OPTION: CommandOption = { flags: "--node <id>", summary: "only instances on this node" };

export const drainCommand: Command = {
  name: "drain",
  group: "Change a running proxy",
  summary: "have instances take no new flows of this node's clients; those that they have go on",
  arguments: ARGUMENTS,
  options: [
    NODE_OPTION,
    { flags: "--wait <time>", summary: "end when no flow is left; with exit status 1 after that time (30s, 10m)" },
    SOCKET_OPTION,
    JSON_OPTION,
  ],
  examples: [
    { line: "drain shop 2", does: "instance 2 of shop, until undrain, a restart, or a change of the configuration" },
    { line: "drain shop 2 --wait 10m", does: "the same, and wait until nobody is connected to it" },
    { line: "drain --node node-c", does: "all instances on a node" },
  ],
  async run(input, terminal) {
    const waitMs = await waitOf(input);
    const meant = meantBy(input);
    let report = await order(input, meant, true);
    const left = waitMs === undefined ? undefined : await waitUntilUnused(input, meant, waitMs);
    if (left !== undefined) report = { ...report, instances: left };
    await printReport(report, input, terminal, async () => {
      return [await instancesText(report), drainedText(report, await unservedBy(input, report))];
    });
    const flows = flowsOf(report);
    if (waitMs === undefined || flows === 0) return;
    throw new SapwoodError("no-answer", `After ${input.text("wait")}, ${countText(flows, "flow")} had not ended.`);
  },
};

export const undrainCommand: Command = {
  name: "undrain",
  group: "Change a running proxy",
  summary: "have instances that drain take new flows again",
  arguments: ARGUMENTS,
  options: [NODE_OPTION, SOCKET_OPTION, JSON_OPTION],
  examples: [
    { line: "undrain shop 2", does: "new flows may lead to instance 2 of shop again" },
    { line: "undrain --node node-c", does: "to all instances on a node" },
  ],
  async run(input, terminal) {
    await printReport(await order(input, meantBy(input), false), input, terminal, async (report) => {
      return `${await instancesText(report)}Generation ${report.generation}: they take new flows.\n`;
    });
  },
};

/** Throws usage. */
function meantBy(input: CommandInput): Meant {
  const [service, number] = [input.optionalArgument(0), input.optionalArgument(1)];
  const node = input.optionalText("node");
  if (service === undefined && node === undefined) {
    throw new SapwoodError("usage", "Expected a service, with or without the number of an instance, or --node.");
  }
  if (number !== undefined && !/^\d{1,10}$/.test(number)) {
    throw new SapwoodError("usage", `Expected the number of an instance, found "${number}".`);
  }
  return { node, service, instance: number === undefined ? undefined : Number(number) };
}

/** Throws usage. */
async function waitOf(input: CommandInput): Promise<number | undefined> {
  const given = input.optionalText("wait");
  if (given === undefined) return undefined;
  const { parseDuration } = await import("../base/duration.ts");
  const waitMs = parseDuration(given);
  if (waitMs !== undefined) return waitMs;
  throw new SapwoodError("usage", `--wait: expected a time like 30s or 10m, found "${given}".`);
}

async function order(input: CommandInput, meant: Meant, draining: boolean): Promise<DrainReport> {
  const { postText } = await import("./client.ts");
  const text = JSON.stringify({ ...meant, draining });
  const { generation } = await postText<AppliedReport>(input.text("socket"), "/v1/drain", text);
  return { generation, instances: (await instancesOf(input)).filter((one) => isMeant(one, meant)) };
}

function isMeant(one: InstanceReport, { node, service, instance }: Meant): boolean {
  return (
    (node === undefined || one.node === canonicalName(node)) &&
    (service === undefined || one.service === canonicalName(service)) &&
    (instance === undefined || one.number === instance)
  );
}

async function instancesOf(input: CommandInput): Promise<readonly InstanceReport[]> {
  const { fetchReport } = await import("./client.ts");
  return fetchReport<readonly InstanceReport[]>(input.text("socket"), "/v1/instances");
}

/** The instances when they have no flow, or when the time is over. */
async function waitUntilUnused(input: CommandInput, meant: Meant, waitMs: number): Promise<InstanceReport[]> {
  const { setTimeout } = await import("node:timers/promises");
  const endMs = performance.now() + waitMs;
  for (;;) {
    const instances = (await instancesOf(input)).filter((one) => isMeant(one, meant));
    const leftMs = endMs - performance.now();
    if (flowsOf({ instances }) === 0 || leftMs <= 0) return instances;
    await setTimeout(Math.min(WAIT_INTERVAL_MS, leftMs));
  }
}

function flowsOf({ instances }: Pick<DrainReport, "instances">): number {
  return instances.reduce((sum, { flows }) => sum + flows, 0);
}

/** Services of which no instance takes new flows any more. */
async function unservedBy(input: CommandInput, { instances }: DrainReport): Promise<string[]> {
  const serving = new Set((await instancesOf(input)).filter(({ draining }) => !draining).map(({ service }) => service));
  return [...new Set(instances.map(({ service }) => service))].filter((service) => !serving.has(service));
}

async function instancesText({ instances }: DrainReport): Promise<string> {
  const { renderTable } = await import("../base/text-table.ts");
  return renderTable(
    ["instance", "node", "state", { right: "flows" }],
    instances.map((one) => [
      `${one.service}#${one.number}`,
      one.node,
      one.draining ? "draining" : "active",
      String(one.flows),
    ]),
  );
}

function drainedText({ generation }: DrainReport, unserved: readonly string[]): string {
  const warning = unserved.map((service) => `No instance of ${service} takes new flows any more.\n`).join("");
  return (
    `${warning}Generation ${generation}: they take no new flows of this node's clients until "sapwood undrain", a\n` +
    `restart of the proxy, or a change of the configuration, in which "draining: true" would keep it so.\n`
  );
}
