// `sapwood top`: services or instances with their rates, the busiest first, on a page that is made anew each second.

import type { TrafficReport, TrafficRow } from "../model/reports.ts";
import { TRAFFIC_BY, TRAFFIC_SORTS } from "../model/traffic-orders.ts";
import type { Command, CommandInput, Screen } from "./command.ts";
import { orDash, rateText } from "./format.ts";
import { JSON_OPTION, printReport, SOCKET_OPTION } from "./query-command.ts";

const INTERVAL_DEFAULT_MS = 1000;
const INTERVAL_MIN_MS = 100;
/** Where there is no terminal to fill. */
const LINES_DEFAULT = 20;
/** Above the rows: totals, an empty line, the heads. */
const HEAD_LINES = 3;

export const topCommand: Command = {
  name: "top",
  group: "Look at a running proxy",
  summary: "show services with their instances, flows and rates, the busiest first, again and again",
  options: [
    { flags: "-n, --lines <count>", summary: "services to show (default: as many as fit)", isCount: true },
    { flags: "-i, --interval <time>", summary: "between two looks: 500ms, 5s (default: 1s)" },
    { flags: "--by <what>", summary: "one line for each (default: service)", choices: TRAFFIC_BY },
    { flags: "--sort <what>", summary: "what comes first (default: packets)", choices: TRAFFIC_SORTS },
    { flags: "--once", summary: "print it once, over one interval; so it is without a terminal" },
    SOCKET_OPTION,
    { ...JSON_OPTION, summary: "print JSON once, for programs" },
  ],
  examples: [
    { line: "top", does: "until q or Ctrl-C" },
    { line: "top --by instance --sort flows", does: "instances with most flows first" },
    { line: "top --once -n 5 --interval 5s", does: "the five busiest services of five seconds" },
  ],
  async run(input, terminal) {
    const [{ fetchReport }, { setTimeout }] = await Promise.all([
      import("./client.ts"),
      import("node:timers/promises"),
    ]);
    const intervalMs = await intervalOf(input);
    const ask = (limit: number) => fetchReport<TrafficReport>(input.text("socket"), pathOf(input, limit));
    const lines = input.count("lines");
    const isOnce = input.flag("once") || input.flag("json");
    if (isOnce || terminal.openScreen === undefined) {
      await ask(1); // rates are from one look to the next
      await setTimeout(intervalMs);
      return printReport(await ask(lines ?? LINES_DEFAULT), input, terminal, async (report) => {
        return (await pageOf(report, terminal.columns)).map((line) => `${line}\n`);
      });
    }
    const first = await ask(1); // a proxy that does not run is told before the screen is taken
    const screen = terminal.openScreen();
    try {
      await follow(screen, first, intervalMs, (rows) => ask(Math.min(lines ?? rows, rows)));
    } finally {
      screen.close();
    }
  },
};

/** Until the user leaves. A proxy that does not answer for a while is told in the place of the table. */
async function follow(
  screen: Screen,
  first: TrafficReport,
  intervalMs: number,
  ask: (rows: number) => Promise<TrafficReport>,
): Promise<void> {
  const { SapwoodError } = await import("../base/errors.ts");
  const page = async (): Promise<readonly string[]> => {
    try {
      return await pageOf(await ask(Math.max(1, screen.rows - HEAD_LINES - 1)), screen.columns);
    } catch (error) {
      if (error instanceof SapwoodError && error.code === "not-running") return [error.message];
      throw error;
    }
  };
  screen.show(await pageOf({ ...first, rows: [] }, screen.columns));
  for (let shown = await page(); ; shown = await page()) {
    screen.show(shown);
    if ((await screen.next(intervalMs)) === "left") return;
  }
}

async function pageOf(report: TrafficReport, columns: number | undefined): Promise<readonly string[]> {
  const [{ TextTable }, { cutToWidth }] = await Promise.all([
    import("../base/text-table.ts"),
    import("../base/display-width.ts"),
  ]);
  const { rows, rowCount, totals } = report;
  const isByInstance = rows[0]?.instance != null;
  const table = new TextTable(
    [
      isByInstance ? "instance" : "service",
      isByInstance ? "node" : { right: "instances" },
      { right: "flows" },
      { right: "out/s" },
      { right: "in/s" },
    ],
    rows.map(cellsOf),
  );
  const rest = rowCount > rows.length ? [`... and ${rowCount - rows.length} more`] : [];
  const text = [totalText(totals), "", ...[...table.pieces()].join("").trimEnd().split("\n"), ...rest];
  return columns === undefined ? text : text.map((line) => cutToWidth(line, columns));
}

function cellsOf({ service, instance, node, instances, flows, outPerSecond, inPerSecond }: TrafficRow): string[] {
  const who = instance === null ? service : `${service}#${instance}`;
  return [who, node ?? String(instances), String(flows), orDash(outPerSecond, rateText), orDash(inPerSecond, rateText)];
}

function totalText(totals: TrafficReport["totals"]): string {
  if (totals === null) return "packets per second: measuring";
  const { outPackets, outBytes, inPackets, inBytes, dropped } = totals;
  const bits = (bytes: number): string => rateText(bytes * 8, "bit/s");
  return (
    `out ${rateText(outPackets)} packets/s, ${bits(outBytes)}   in ${rateText(inPackets)} packets/s, ${bits(inBytes)}   ` +
    `dropped ${rateText(dropped)}/s`
  );
}

function pathOf(input: CommandInput, limit: number): string {
  const query = new URLSearchParams({ limit: String(limit) });
  for (const name of ["by", "sort"] as const) {
    const value = input.optionalText(name);
    if (value !== undefined) query.set(name, value);
  }
  return `/v1/traffic?${query}`;
}

async function intervalOf(input: CommandInput): Promise<number> {
  const given = input.optionalText("interval");
  if (given === undefined) return INTERVAL_DEFAULT_MS;
  const [{ parseDuration }, { SapwoodError }] = await Promise.all([
    import("../base/duration.ts"),
    import("../base/errors.ts"),
  ]);
  const interval = parseDuration(given);
  if (interval !== undefined && interval >= INTERVAL_MIN_MS) return interval;
  throw new SapwoodError("usage", `--interval: expected ${INTERVAL_MIN_MS}ms or more, found "${given}".`);
}
