// The history of the figures as a picture: a line of dots for each figure, one per published run, by date. Figures of
// different machines do not compare, so that each machine has a colour of its own.
import type { readHistory } from "./history.ts";
import { describeMachine } from "./path/machine.ts";
import { figure } from "./path/report.ts";

type Run = ReturnType<typeof readHistory>[number];

interface Point {
  readonly atMs: number;
  readonly value: number;
  readonly machine: number; // its index in the legend
  readonly label: string;
}

const WIDTH = 860;
const MARGIN = 16;
const TITLE_HEIGHT = 40;
const ROW_HEIGHT = 44;
const PLOT_AT = 380; // x
const PLOT_WIDTH = 360;
const PLOT_MARGIN = 8;
const LEGEND_LINE = 18;
/** After these, the colours begin again. */
const COLOURS = ["#2f7d4f", "#8250df", "#bc4c00", "#0969da"];

const STYLE = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328; }
    .title { font-size: 16px; font-weight: 600; }
    .note { fill: #59636e; font-size: 12px; }
    .line { stroke: #d1d9e0; }
    .way { fill: none; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .note { fill: #9198a1; }
      .line { stroke: #3d444d; }
    }
  `;

/** SVG text of the figures whose name is wanted. */
export function renderHistoryChart(runs: readonly Run[], isWanted: (name: string) => boolean): string {
  const machines = [...new Set(runs.map(({ machine }) => describeMachine(machine)))];
  const rows = new Map<string, Point[]>();
  for (const { date, commit, subject, machine, figures } of runs) {
    for (const { name, value, unit } of figures) {
      if (!isWanted(name)) continue;
      const key = `${subject}: ${name}, ${unit}`;
      const label = `${figure(value)} ${unit}, ${date.slice(0, 10)}, commit ${commit}`;
      const point = { atMs: Date.parse(date), value, machine: machines.indexOf(describeMachine(machine)), label };
      rows.set(key, [...(rows.get(key) ?? []), point]);
    }
  }
  const times = [...rows.values()].flat().map(({ atMs }) => atMs);
  const range = { from: Math.min(...times), to: Math.max(...times) };
  const legendAt = TITLE_HEIGHT + rows.size * ROW_HEIGHT + LEGEND_LINE;
  const height = legendAt + machines.length * LEGEND_LINE;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    "  <title>The published figures over time</title>",
    `  <style>${STYLE}</style>`,
    text(MARGIN, 26, "title", `The published figures, ${dayOf(range.from)} to ${dayOf(range.to)}`),
    ...[...rows].flatMap(([name, points], index) => renderRow(name, points, range, TITLE_HEIGHT + index * ROW_HEIGHT)),
    ...machines.flatMap((machine, index) => {
      const y = legendAt + index * LEGEND_LINE;
      return [dot(MARGIN + 5, y - 4, index, machine), text(MARGIN + 18, y, "note", machine)];
    }),
    "</svg>",
    "",
  ].join("\n");
}

function renderRow(
  name: string,
  points: readonly Point[],
  { from, to }: { readonly from: number; readonly to: number },
  top: number,
): string[] {
  const most = Math.max(...points.map(({ value }) => value));
  const place = ({ atMs, value }: Point): [number, number] => [
    PLOT_AT + (to === from ? PLOT_WIDTH / 2 : ((atMs - from) / (to - from)) * PLOT_WIDTH),
    top + ROW_HEIGHT - PLOT_MARGIN - (most <= 0 ? 0 : value / most) * (ROW_HEIGHT - 2 * PLOT_MARGIN),
  ];
  const ways = [...new Set(points.map(({ machine }) => machine))].map((machine) => {
    const own = points.filter((point) => point.machine === machine).map((point) => place(point).map(rounded).join(","));
    return `  <polyline class="way" stroke="${colourOf(machine)}" points="${own.join(" ")}"/>`;
  });
  const last = points.at(-1);
  return [
    `  <line class="line" x1="${MARGIN}" y1="${top}" x2="${WIDTH - MARGIN}" y2="${top}"/>`,
    text(MARGIN, top + ROW_HEIGHT / 2 + 5, "name", name),
    ...ways,
    ...points.map((point) => dot(...place(point), point.machine, point.label)),
    text(PLOT_AT + PLOT_WIDTH + MARGIN, top + ROW_HEIGHT / 2 + 5, "note", last === undefined ? "" : figure(last.value)),
  ];
}

function dot(x: number, y: number, machine: number, label: string): string {
  const title = `<title>${escaped(label)}</title>`;
  return `  <circle cx="${rounded(x)}" cy="${rounded(y)}" r="3.5" fill="${colourOf(machine)}">${title}</circle>`;
}

function text(x: number, y: number, name: string, content: string): string {
  return `  <text class="${name}" x="${rounded(x)}" y="${rounded(y)}">${escaped(content)}</text>`;
}

function colourOf(machine: number): string {
  return COLOURS[machine % COLOURS.length] as string;
}

function dayOf(atMs: number): string {
  return Number.isFinite(atMs) ? new Date(atMs).toISOString().slice(0, 10) : "none";
}

function rounded(value: number): string {
  return value.toFixed(1);
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
