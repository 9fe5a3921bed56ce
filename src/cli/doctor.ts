// `sapwood doctor`: looks at all that a proxy needs, with one running or without, and says what to type.

import type { DoctorReport, Finding } from "../doctor/finding.ts";
import type { Command, CommandInput } from "./command.ts";
import { CONFIG_OPTION, DEFAULT_CONFIG_FILE } from "./config-file.ts";
import { JSON_OPTION, printReport, SOCKET_OPTION } from "./query-command.ts";

const MARKS = { ok: "ok", wrong: "WRONG", unseen: "?" } as const;

export const doctorCommand: Command = {
  name: "doctor",
  group: "Look at a running proxy",
  summary: "look at all that a proxy needs, whether one runs or not, and say what to type",
  options: [
    {
      ...CONFIG_OPTION,
      summary: `configuration of the node (default: that of the running proxy, else ${DEFAULT_CONFIG_FILE})`,
    },
    SOCKET_OPTION,
    JSON_OPTION,
  ],
  examples: [
    { line: "doctor", does: "exit status 1 when something is wrong" },
    { line: "doctor --config node.yaml", does: "before the first start" },
    { line: "doctor --json", does: "the same for a program" },
  ],
  async run(input, terminal) {
    const report = await examined(input);
    await printReport(report, input, terminal, ({ findings }) => lines(findings));
    const { SapwoodError } = await import("../base/errors.ts");
    const { countText } = await import("./format.ts");
    const count = report.findings.filter(({ state }) => state === "wrong").length;
    if (!report.ok) throw new SapwoodError("not-well", `${countText(count, "finding")} of the doctor must be mended.`);
  },
};

async function examined(input: CommandInput): Promise<DoctorReport> {
  const [{ examine }, { askProxy }, { existsSync }] = await Promise.all([
    import("../doctor/examine.ts"),
    import("./ask-proxy.ts"),
    import("node:fs"),
  ]);
  const socket = input.text("socket");
  const { proxy, refusal } = await askProxy(socket);
  const standard = existsSync(DEFAULT_CONFIG_FILE) ? DEFAULT_CONFIG_FILE : undefined;
  const configFile = input.optionalText("config") ?? proxy?.status.config.file ?? standard;
  return examine({ socket, proxy, refusal, configFile, ...(await readConfig(configFile)) });
}

async function readConfig(file: string | undefined) {
  const [{ loadConfig }, { knownPolicies }, { reasonOf }] = await Promise.all([
    import("../control/config/config.ts"),
    import("../control/state/module-store.ts"),
    import("../base/errors.ts"),
  ]);
  if (file === undefined) {
    return { config: undefined, configProblem: `none was named, and there is none at ${DEFAULT_CONFIG_FILE}` };
  }
  try {
    return { config: loadConfig(file, { policies: knownPolicies }), configProblem: undefined };
  } catch (error) {
    return { config: undefined, configProblem: reasonOf(error) };
  }
}

function* lines(findings: readonly Finding[]): Generator<string> {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const markWidth = MARKS.wrong.length;
  for (const { check, state, message, advice } of findings) {
    const [first = "", ...more] = message.split("\n");
    yield `${MARKS[state].padEnd(markWidth)}  ${check.padEnd(width)}  ${first}\n`;
    const indent = " ".repeat(markWidth + width + 4);
    for (const line of more) yield `${indent}${line}\n`;
    if (advice !== null) yield `${indent}type: ${advice}\n`;
  }
}
