// `sapwood lab`: the demonstration network on this machine, and the five requests played in it.

import { SapwoodError } from "../errors.ts";
import type { Command, Terminal } from "./command.ts";
import { JSON_OPTION } from "./query-command.ts";

export const labCommand: Command = {
  name: "lab",
  group: "Try it",
  summary: "bring up four nodes on this machine, play requests between them, remove everything",
  options: [{ flags: "--keep", summary: "leave the lab up until Ctrl-C, and print how to enter it" }, JSON_OPTION],
  examples: [
    { line: "lab", does: "as root, or as an ordinary user who may open /dev/net/tun" },
    { line: "lab --keep", does: "the same, then explore with curl, tcpdump, sapwood flows ..." },
    { line: "lab --json", does: "one JSON object, for programs" },
  ],
  async run(input, terminal) {
    const interruption = new AbortController();
    const interrupt = (signal: NodeJS.Signals) =>
      interruption.abort(new SapwoodError("lab-failed", `The lab was ended by ${signal} and is removed.`));
    // Kept to the end: a second Ctrl-C must not leave before everything is removed.
    process.on("SIGINT", interrupt);
    process.on("SIGTERM", interrupt);
    process.on("SIGHUP", interrupt);
    await play(input.flag("keep"), input.flag("json"), terminal, interruption.signal);
  },
};

async function play(isKept: boolean, isJson: boolean, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const [{ controlSocket, instanceName, Lab }, { playRequests }, report, { DEMO }] = await Promise.all([
    import("../lab/lab.ts"),
    import("../lab/demo.ts"),
    import("../lab/demo-report.ts"),
    import("../lab/topology.ts"),
  ]);
  if (!isJson) {
    terminal.print("Four nodes, each with a proxy, and their workloads in network namespaces:\n");
    terminal.print(report.topologyText(DEMO, (name) => instanceName(DEMO, name)));
  }
  const lab = await Lab.open(DEMO, signal);
  try {
    await lab.startProxies();
    const outcomes = await playRequests(lab);
    terminal.print(isJson ? report.jsonReport(outcomes) : `\n${report.textReport(outcomes)}`);
    if (isKept) {
      if (!isJson) terminal.print(report.entryText(lab, controlSocket));
      await interrupted(signal);
    }
    if (report.allOk(outcomes)) return;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    await lab.close();
  }
  throw new SapwoodError("lab-failed", "Not all requests did what their address promises; the report says which.");
}

async function interrupted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
