// `sapwood lab`: the demonstration network on this machine, and the five requests played in it.

import { SapwoodError } from "../base/errors.ts";
import type { Command, Terminal } from "./command.ts";
import { JSON_OPTION } from "./query-command.ts";

export const labCommand: Command = {
  name: "lab",
  group: "Try it",
  summary: "bring up four nodes on this machine, play requests between them, remove everything",
  options: [
    { flags: "--encrypted", summary: "let the nodes send to each other through WireGuard" },
    { flags: "--keep", summary: "leave the lab up until Ctrl-C, and print how to enter it" },
    JSON_OPTION,
  ],
  examples: [
    { line: "lab", does: "as root, or as an ordinary user who may open /dev/net/tun" },
    { line: "lab --keep", does: "the same, then explore with curl, tcpdump, sapwood flows ..." },
    { line: "lab --encrypted", does: "the same through WireGuard" },
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
    await play(
      { isKept: input.flag("keep"), isJson: input.flag("json"), isEncrypted: input.flag("encrypted") },
      terminal,
      interruption.signal,
    );
  },
};

interface LabMode {
  readonly isKept: boolean;
  readonly isJson: boolean;
  readonly isEncrypted: boolean;
}

async function play({ isKept, isJson, isEncrypted }: LabMode, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const [{ instanceName, Lab }, { prepareShells }, { playRequests }, report, { DEMO }] = await Promise.all([
    import("../lab/lab.ts"),
    import("../lab/lab-shell.ts"),
    import("../lab/demo.ts"),
    import("../lab/demo-report.ts"),
    import("../lab/topology.ts"),
  ]);
  if (!isJson) {
    terminal.print("Four nodes, each with a proxy, and their workloads in network namespaces:\n");
    terminal.print(report.topologyText(DEMO, (name) => instanceName(DEMO, name)));
  }
  const lab = await Lab.open({ ...DEMO, encryption: isEncrypted ? "auto" : undefined }, signal);
  try {
    await lab.startProxies();
    const outcomes = await playRequests(lab);
    terminal.print(isJson ? report.jsonReport(outcomes) : `\n${report.textReport(outcomes, isEncrypted)}`);
    if (isKept) {
      const howToEnter = prepareShells(lab);
      if (!isJson) terminal.print(howToEnter);
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
