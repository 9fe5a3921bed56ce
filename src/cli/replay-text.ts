// What `sapwood replay` prints for people.

import { nameList } from "../base/issues.ts";
import { renderFields, renderTable } from "../base/text-table.ts";
import type { NotReplayed, ReplayReport } from "../model/replay-report.ts";
import { candidatesText, packetFields, resultFields } from "./explanation-text.ts";
import { countText } from "./format.ts";

const WHY: Readonly<Record<NotReplayed, string>> = {
  outbound: "left the node",
  answers: "answer probes that are not in the file",
  snapped: "are not whole",
  malformed: "are not as packets can be",
  undirected: "have no direction",
  foreign: "are of other interfaces",
};

/** Piece by piece. */
export function* replayText(report: ReplayReport): Generator<string> {
  const { packets, replayed, notReplayed, recorded } = report;
  yield `${countText(packets, "packet")}, ${replayed} replayed\n`;
  for (const [why, count] of Object.entries(notReplayed)) {
    if (count > 0) yield `  ${count} not: they ${WHY[why as NotReplayed]}\n`;
  }
  const { equal, otherInstance, different, untold } = recorded;
  yield `recorded verdicts: ${equal + otherInstance} equal`;
  if (otherInstance > 0) yield ` (${otherInstance} with another instance)`;
  yield `, ${different} different, ${untold} not told\n`;
  const { unknownServices } = recorded;
  if (unknownServices.length > 0) {
    yield `  recorded with services that the configuration has not: ${nameList(unknownServices)}\n`;
  }
  if (equal + otherInstance === 0 && different > 0) {
    yield "  none is as recorded: perhaps the capture is of another node, or of other tables\n";
  }
  for (const { packet, recorded: was, replayed: now } of recorded.first) {
    const label = `  packet ${packet}: `;
    yield `${label}recorded ${was}\n${" ".repeat(label.length)}replayed ${now}\n`;
  }
  for (const [index, side] of report.sides.entries()) {
    yield `\n${sideName(report, index)}: engine ${side.engine}${policiesText(side.policies)}\n`;
    yield* sideText(side);
  }
  if (report.differences !== null) yield* differencesText(report.differences);
}

function sideName({ sides }: ReplayReport, index: number): string {
  if (sides.length < 2) return "configured";
  return index === 0 ? "A, configured" : "B, compared";
}

function policiesText(policies: Readonly<Record<string, string>>): string {
  const texts = Object.entries(policies).map(([name, source]) => `${name} ${source}`);
  return texts.length === 0 ? "" : `; policies ${texts.join(", ")}`;
}

function* sideText({ verdicts, choices }: ReplayReport["sides"][number]): Generator<string> {
  const verdictRows = verdicts.map((row) => [row.interface, row.verdict, row.reason ?? "", String(row.packets)]);
  if (verdictRows.length > 0) {
    yield renderTable(["interface", "verdict", "reason", { right: "packets" }], verdictRows);
  }
  const choiceRows = choices.map(({ service, instance, flows }) => [service, String(instance), String(flows)]);
  if (choiceRows.length === 0) return;
  yield renderTable(["service", { right: "instance" }, { right: "new flows" }], choiceRows);
}

function* differencesText({ packets, first }: NonNullable<ReplayReport["differences"]>): Generator<string> {
  if (packets === 0) yield "\nno packet fares otherwise\n";
  for (const { packet, time, interface: at, what, results } of first) {
    yield `\npacket ${packet} at ${time}, from ${at === "tun" ? "a workload" : "another node"}: another ${what.join(", ")}\n`;
    yield indented(renderFields(packetFields(results[0].explanation)), "  ");
    for (const [index, { said, left, explanation }] of results.entries()) {
      yield `  ${index === 0 ? "A" : "B"}  ${said}\n`;
      for (const one of left) yield `     to ${one}\n`;
      yield indented(renderFields(resultFields(explanation)) + candidatesText(explanation), "     ");
    }
  }
  if (packets > first.length) yield `\nand ${packets - first.length} more\n`;
}

function indented(lines: string, indent: string): string {
  return lines.replace(/^(?=.)/gm, indent);
}
