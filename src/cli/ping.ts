// `sapwood ping`: round trips to another node through the tunnel.

import type { PingReport } from "../model/reports.ts";
import type { Command, CommandInput } from "./command.ts";
import { endpointText, orDash } from "./format.ts";
import { JSON_OPTION, printReport, SOCKET_OPTION } from "./query-command.ts";

const COUNT_DEFAULT = 5;
const INTERVAL_DEFAULT = "1";
/** Not below what the data plane takes between two looks at the nodes. */
const INTERVAL_MIN_MS = 100;
const INTERVAL_MAX_MS = 3_600_000;

interface Summary extends Omit<PingReport, "rttMs"> {
  readonly sent: number;
  readonly answered: number;
  /** Part of those sent. */
  readonly loss: number;
  /** Of those answered; null when none was. */
  readonly rttMs: { readonly min: number; readonly mean: number; readonly max: number } | null;
}

export const pingCommand: Command = {
  name: "ping",
  group: "Look at a running proxy",
  summary: "measure round trips to another node through the tunnel, with loss and path MTU",
  arguments: [{ name: "node|address", summary: "a node, or an address of a node, an instance or a service" }],
  options: [
    { flags: "-c, --count <count>", summary: `round trips (default: ${COUNT_DEFAULT})`, isCount: true },
    {
      flags: "-i, --interval <seconds>",
      summary: "between two of them; not below probe.interval",
      default: { value: () => INTERVAL_DEFAULT, text: INTERVAL_DEFAULT },
    },
    SOCKET_OPTION,
    JSON_OPTION,
  ],
  examples: [
    { line: "ping node-b", does: "exit status 1 when nothing answers" },
    { line: "ping 10.30.0.2", does: "the instance that a workload of this node would reach now" },
    { line: "ping node-b -c 1 --json", does: "once, for a program" },
  ],
  async run(input, terminal) {
    const [{ postText }, { setTimeout }, { SapwoodError }] = await Promise.all([
      import("./client.ts"),
      import("node:timers/promises"),
      import("../base/errors.ts"),
    ]);
    const intervalMs = await intervalOf(input);
    const count = input.count("count") ?? COUNT_DEFAULT;
    const print = (text: string): void => {
      if (!input.flag("json")) terminal.print(text);
    };
    const ask = (to: string) => postText<PingReport>(input.text("socket"), "/v1/ping", JSON.stringify({ to }));
    let last = await ask(input.argument(0));
    const times = [last.rttMs];
    print(headText(last));
    if (!last.isLocal) {
      print(lineText(last));
      while (times.length < count) {
        await setTimeout(intervalMs);
        last = { ...(await ask(last.node)), service: last.service, instance: last.instance, to: last.to };
        times.push(last.rttMs);
        print(lineText(last));
      }
    }
    const summary = summaryOf(last, times);
    await printReport(summary, input, terminal, ({ isLocal }) => (isLocal ? "" : summaryText(summary)));
    if (summary.answered === 0) {
      throw new SapwoodError("no-answer", `${last.node} answered none of ${times.length}: see "sapwood doctor".`);
    }
  },
};

async function intervalOf(input: CommandInput): Promise<number> {
  const text = input.text("interval");
  const ms = Number(text) * 1000;
  if (/^\d+(?:\.\d+)?$/.test(text) && ms >= INTERVAL_MIN_MS && ms <= INTERVAL_MAX_MS) return ms;
  const { SapwoodError } = await import("../base/errors.ts");
  const expected = `seconds from ${INTERVAL_MIN_MS / 1000} to ${INTERVAL_MAX_MS / 1000}`;
  throw new SapwoodError("usage", `--interval: expected ${expected}, found "${text}".`);
}

function headText({ to, node, service, instance, isLocal, underlay, encryption }: PingReport): string {
  const who = service === null ? node : `${service}#${instance} on ${node}`;
  if (isLocal) return `${to} is ${who}, which is this node: no packet goes through the tunnel.\n`;
  const way = encryption === "none" ? "in clear" : "inside WireGuard";
  return `${to} is ${who}, at ${endpointText(underlay.address, underlay.port)}, ${way}\n`;
}

function lineText({ node, rttMs, mtu, state }: PingReport): string {
  if (rttMs === null) return `${node} does not answer (${state})\n`;
  return `${node} answered in ${rttMs.toFixed(3)} ms, path MTU ${orDash(mtu, String)}\n`;
}

function summaryOf(last: PingReport, times: readonly (number | null)[]): Summary {
  const measured = times.filter((ms) => ms !== null);
  const sum = measured.reduce((total, ms) => total + ms, 0);
  return {
    ...last,
    sent: times.length,
    answered: measured.length,
    loss: 1 - measured.length / times.length,
    rttMs:
      measured.length === 0
        ? null
        : { min: Math.min(...measured), mean: sum / measured.length, max: Math.max(...measured) },
  };
}

function summaryText({ sent, answered, loss, rttMs }: Summary): string {
  const lost = `${sent} sent, ${answered} answered, ${(loss * 100).toFixed(0)} % lost`;
  if (rttMs === null) return `${lost}\n`;
  const { min, mean, max } = rttMs;
  return `${lost}, round trip ${min.toFixed(3)} / ${mean.toFixed(3)} / ${max.toFixed(3)} ms (min / mean / max)\n`;
}
