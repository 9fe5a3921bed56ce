// `sapwood replay`: what the modules of a node do with the packets of a capture, and what others would do.

import { SapwoodError } from "../base/errors.ts";
import { printableLine } from "../base/printable.ts";
import { canonicalName } from "../model/names.ts";
import { policyName } from "../model/policy-names.ts";
import type { ReplayReport } from "../model/replay-report.ts";
import type { SourcedSide } from "../node/replay-plan.ts";
import type { Command } from "./command.ts";
import { CONFIG_OPTION, configFile } from "./config-file.ts";
import { countText } from "./format.ts";
import { JSON_OPTION, printReport } from "./query-command.ts";

export const replayCommand: Command = {
  name: "replay",
  group: "Modules",
  summary: "give the packets of a capture to a node's packet code and policies, and compare with others",
  arguments: [{ name: "file", summary: "what `sapwood capture` wrote" }],
  options: [
    CONFIG_OPTION,
    { flags: "--engine <file>", summary: "compare with this packet code" },
    {
      flags: "--policy <name=file>",
      summary: "compare with this module of a policy; may be given several times",
      isList: true,
    },
    JSON_OPTION,
  ],
  examples: [
    { line: "replay a.pcapng -c node.yaml", does: "what happens to each packet, and whether it was recorded so" },
    { line: "replay a.pcapng --policy closest=new.wasm", does: "exit status 1 when a packet fares otherwise" },
    { line: "replay a.pcapng --engine new.wasm --json", does: "the same of packet code, for a program" },
  ],
  async run(input, terminal) {
    const [{ planReplay }, { runReplay }] = await Promise.all([
      import("../node/replay-plan.ts"),
      import("../control/replay/run-replay.ts"),
    ]);
    const { plan, sources } = await planReplay({
      file: input.argument(0),
      configFile: configFile(input.optionalText("config")),
      engineFile: input.optionalText("engine"),
      policyFiles: policyFiles(input.list("policy")),
    });
    const { sides, ...findings } = await runReplay(plan);
    const report: ReplayReport = { ...findings, sides: sides.map((side, i) => ({ ...sideAt(sources, i), ...side })) };
    await printReport(report, input, terminal, async () => (await import("./replay-text.ts")).replayText(report));
    const different = report.differences?.packets ?? 0;
    if (different === 0) return;
    throw new SapwoodError("replay-differs", `${countText(different, "packet")} would fare otherwise.`);
  },
};

function sideAt(sources: readonly SourcedSide[], index: number): SourcedSide {
  const side = sources[index];
  if (side === undefined) throw new RangeError(`no side ${index}`);
  return side;
}

/** Throws usage. */
function policyFiles(given: readonly string[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const text of given) {
    const [, typed = "", file = ""] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
    const name = policyName(canonicalName(typed));
    if (name === "" || files.has(name)) {
      const expected = "a policy and its module like closest=new.wasm, each policy once";
      throw new SapwoodError("usage", `--policy must be ${expected}; found "${printableLine(text)}".`);
    }
    files.set(name, file);
  }
  return files;
}
