// The outcome as a picture: for each metric a bar per path, the longer one filling the width, and their ratio.
// The background is transparent and the colours follow the reader's light or dark mode; fonts are the reader's own.
import { figure, type Row } from "./report.ts";

const WIDTH = 860;
const MARGIN = 16;
const TITLE_HEIGHT = 64;
const ROW_HEIGHT = 46;
const BAR_HEIGHT = 15;
const BAR_GAP = 2;
const BARS_AT = 276; // x
const BAR_WIDTH_MAX = 340;
const VALUE_GAP = 8;
const FOOTER_HEIGHT = 40;

const STYLE = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328; }
    .title { font-size: 16px; font-weight: 600; }
    .note, .value { fill: #59636e; font-size: 12px; }
    .ratio { font-weight: 600; text-anchor: end; }
    .sapwood { fill: #2f7d4f; }
    .kernel { fill: #8c959f; }
    .line { stroke: #d1d9e0; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .note, .value { fill: #9198a1; }
      .sapwood { fill: #4fb477; }
      .kernel { fill: #6e7681; }
      .line { stroke: #3d444d; }
    }
  `;

/** SVG text; `caption` says what was measured where. */
export function renderChart(rows: readonly Row[], caption: string): string {
  const charted = rows.filter(({ metric }) => metric.isCharted);
  const height = TITLE_HEIGHT + charted.length * ROW_HEIGHT + FOOTER_HEIGHT;
  const right = WIDTH - MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">`,
    "  <title>Sapwood beside the kernel's own overlay</title>",
    `  <style>${STYLE}</style>`,
    text(MARGIN, 26, "title", "Sapwood beside the kernel's own overlay (VXLAN + nftables DNAT)"),
    ...legend(48),
    `  <text class="note" x="${right}" y="48" text-anchor="end">sapwood / kernel</text>`,
    ...charted.flatMap((row, index) => renderRow(row, TITLE_HEIGHT + index * ROW_HEIGHT)),
    text(MARGIN, height - 14, "note", caption),
    "</svg>",
    "",
  ].join("\n");
}

function legend(baseline: number): string[] {
  const top = baseline - 10;
  return [
    `  <rect class="sapwood" x="${MARGIN}" y="${top}" width="12" height="12" rx="2"/>`,
    text(MARGIN + 18, baseline, "note", "sapwood"),
    `  <rect class="kernel" x="${MARGIN + 90}" y="${top}" width="12" height="12" rx="2"/>`,
    text(MARGIN + 108, baseline, "note", "kernel"),
  ];
}

function renderRow({ metric, results, ratios: [ratio] }: Row, top: number): string[] {
  const longest = Math.max(...results.map(({ value }) => value));
  const barTop = top + (ROW_HEIGHT - 2 * BAR_HEIGHT - BAR_GAP) / 2;
  const middle = top + ROW_HEIGHT / 2;
  const bars = results.flatMap(({ path, value, unit }, index) => {
    const y = barTop + index * (BAR_HEIGHT + BAR_GAP);
    const width = Math.max(1, (value / longest) * BAR_WIDTH_MAX);
    return [
      `  <rect class="${path}" x="${BARS_AT}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>`,
      text(BARS_AT + width + VALUE_GAP, y + BAR_HEIGHT - 3, "value", `${figure(value)} ${unit}`),
    ];
  });
  return [
    `  <line class="line" x1="${MARGIN}" y1="${top}" x2="${WIDTH - MARGIN}" y2="${top}"/>`,
    ...labelLines(metric.label, metric.better === "less" ? "less is better" : "more is better", middle),
    ...bars,
    text(WIDTH - MARGIN, middle + 5, "ratio", ratio === undefined ? "" : ratio.median.toFixed(2)),
  ];
}

function labelLines(label: string, hint: string, middle: number): string[] {
  return [text(MARGIN, middle - 2, "label", label), text(MARGIN, middle + 14, "note", hint)];
}

function text(x: number, y: number, name: string, content: string): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `  <text class="${name}" x="${x.toFixed(1)}" y="${y.toFixed(1)}">${escaped}</text>`;
}
