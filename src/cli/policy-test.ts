// `sapwood policy test`: what a policy module does with candidates, before any node has it.

import type { CandidateSet, SetOutcome, TrialReport, Violation } from "../dataplane/modules/policy-trial-contract.ts";
import type { Command, CommandInput } from "./command.ts";
import { countText, mebibytesText } from "./format.ts";
import { JSON_OPTION } from "./query-command.ts";

const FLOWS = 10_000;
const TIME_LIMIT_MS = 50;
const MEMORY_MIB = 16;
const PAGES_PER_MIB = 16;
/** More candidates than this are told by the fewest and the most flows. */
const ROWS_MAX = 20;

export const policyTestCommand: Command = {
  name: "policy test",
  group: "Write a policy",
  summary: "try a module on candidates: how it spreads flows, how long it takes, what it must not do",
  arguments: [{ name: "file", summary: "the module" }],
  options: [
    { flags: "--candidates <file>", summary: 'instances as YAML or JSON, or what "instances --json" prints' },
    { flags: "--nodes <file>", summary: 'their round-trip times and distances: what "nodes --json" prints' },
    { flags: "--flows <n>", summary: `flows to choose for, per service (default: ${FLOWS})`, isCount: true },
    { flags: "--time-limit <ms>", summary: `for each call, in ms (default: ${TIME_LIMIT_MS})`, isCount: true },
    { flags: "--memory <mib>", summary: `limit of its memory, in MiB (default: ${MEMORY_MIB})`, isCount: true },
    JSON_OPTION,
  ],
  examples: [
    { line: "policy test my-policy.wasm", does: "on sets that show what a policy is; exit status 1 on violations" },
    { line: "policy test my-policy.wasm --candidates three.yaml", does: "on candidates of your own" },
    { line: "policy test my-policy.wasm --candidates now.json", does: 'after "sapwood instances --json > now.json"' },
  ],
  async run(input, terminal) {
    const [{ policyShape }, { checkBytes, readModule }, { tryPolicy }, { SapwoodError }] = await Promise.all([
      import("../dataplane/modules/policy-module.ts"),
      import("../dataplane/modules/wasm.ts"),
      import("../dataplane/modules/module-trial.ts"),
      import("../base/errors.ts"),
    ]);
    const file = input.argument(0);
    const sets = await candidateSets(input);
    const shape = policyShape((input.count("memory") ?? MEMORY_MIB) * PAGES_PER_MIB);
    const bytes = readModule(file, shape);
    checkBytes(bytes, shape, file);
    const report = await tryPolicy(bytes, {
      name: file,
      sets,
      flows: input.count("flows") ?? FLOWS,
      memoryBytes: (input.count("memory") ?? MEMORY_MIB) * 2 ** 20,
      timeLimitMs: input.count("timeLimit") ?? TIME_LIMIT_MS,
    });
    terminal.print(input.flag("json") ? jsonText(sets, report) : await reportText(sets, report));
    const { length } = report.violations;
    if (length > 0) throw new SapwoodError("policy-faulty", `${file} has ${countText(length, "violation")}.`);
  },
};

async function candidateSets(input: CommandInput): Promise<readonly CandidateSet[]> {
  const { EXAMPLE_SETS, readCandidateSets } = await import("../control/modules/candidate-sets.ts");
  const { readTextOnce } = await import("../sys/user-file.ts");
  const named = (option: string) => {
    const fileName = input.optionalText(option);
    return fileName === undefined ? undefined : { text: readTextOnce(fileName), fileName };
  };
  const listed = named("candidates");
  if (listed === undefined && input.optionalText("nodes") !== undefined) {
    const { SapwoodError } = await import("../base/errors.ts");
    throw new SapwoodError("usage", "--nodes tells of the nodes of --candidates, which must be given as well.");
  }
  return listed === undefined ? EXAMPLE_SETS : readCandidateSets(listed, named("nodes"));
}

function jsonText(sets: readonly CandidateSet[], { outcomes, memoryBytes, violations }: TrialReport): string {
  const report = {
    sets: outcomes.map(({ chosen, ...outcome }, i) => ({
      ...outcome,
      candidates: sets[i]?.candidates.map(({ instance }, index) => ({ instance, flows: chosen[index] ?? 0 })),
    })),
    memoryBytes,
    violations,
  };
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

async function reportText(sets: readonly CandidateSet[], report: TrialReport): Promise<string> {
  const tables = await Promise.all(report.outcomes.map((outcome, i) => setText(sets[i], outcome)));
  const memory = report.memoryBytes === 0 ? "" : `memory ${mebibytesText(report.memoryBytes)}\n`;
  return [...tables, memory + violationsText(report.violations)].join("\n");
}

async function setText(set: CandidateSet | undefined, outcome: SetOutcome): Promise<string> {
  const [{ renderTable }, { candidateText }] = await Promise.all([
    import("../base/text-table.ts"),
    import("../control/modules/candidate-sets.ts"),
  ]);
  const { flows, chosen, unanswered, nsPerChoice, slowestMs } = outcome;
  const time = nsPerChoice === undefined ? "" : `, ${Math.round(nsPerChoice)} ns per choice`;
  const head = `${outcome.set}: ${countText(flows, "flow")}${time}, the slowest ${slowestMs.toFixed(3)} ms\n`;
  const row = (what: string, count: number) => [`  ${what}`, String(count), percentText(count, flows)];
  const candidates = set?.candidates ?? [];
  const rows =
    candidates.length <= ROWS_MAX
      ? candidates.map((candidate, i) => row(candidateText(candidate), chosen[i] ?? 0))
      : [row("fewest of a candidate", Math.min(...chosen)), row("most of a candidate", Math.max(...chosen))];
  if (unanswered > 0) rows.push(row("no choice", unanswered));
  return head + renderTable(["  candidate", { right: "flows" }, { right: "share" }], rows);
}

function violationsText(violations: readonly Violation[]): string {
  if (violations.length === 0) return "no violations\n";
  return violations
    .map(({ kind, set, count, example }) => {
      const where = set === undefined ? "" : ` (${set})`;
      return `violation, ${kind}${where}: ${example}${count === 1 ? "" : `, and ${count - 1} more`}\n`;
    })
    .join("");
}

function percentText(part: number, whole: number): string {
  return whole === 0 ? "-" : `${((100 * part) / whole).toFixed(1)} %`;
}
