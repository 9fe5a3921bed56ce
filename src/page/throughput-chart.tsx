// Throughput over the last minutes.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { PageRates, PageSample } from "../model/page-reports.ts";
import { bits, perSecond, quantity } from "./format.ts";

const HEIGHT = 300;
const SHORTEST_S = 120;
const LONGEST_S = 600;

interface Line {
  readonly label: string;
  readonly colour: string; // a custom property of the style sheet
  readonly bytes: (rates: PageRates) => number;
  readonly packets: (rates: PageRates) => number;
}

const LINES: readonly Line[] = [
  { label: "To other nodes", colour: "--line-1", bytes: (r) => r.egressBytes, packets: (r) => r.egressPackets },
  { label: "From other nodes", colour: "--line-2", bytes: (r) => r.ingressBytes, packets: (r) => r.ingressPackets },
  { label: "On this node", colour: "--line-3", bytes: (r) => r.localBytes, packets: (r) => r.localPackets },
  { label: "Dropped", colour: "--line-4", bytes: () => 0, packets: (r) => r.drops },
];

type Unit = "bits" | "packets";

export function ThroughputChart({ samples }: { readonly samples: readonly PageSample[] }) {
  const [unit, setUnit] = useState<Unit>("bits");
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const isDark = useDark();
  // Made anew for other colours, which it reads from the style sheet.
  useEffect(() => {
    if (box.current === null) return;
    const made = new uPlot(optionsOf(box.current, unit), dataOf(samples, unit), box.current);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: box.current?.clientWidth ?? 0, height: HEIGHT }));
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [unit, isDark]);
  useEffect(() => plot.current?.setData(dataOf(samples, unit)), [samples, unit]);
  const last = samples.at(-1)?.rates;
  return (
    <>
      <div class="tools">
        <h2 id="throughput-title">Throughput</h2>
        <button
          type="button"
          class="quiet"
          aria-pressed={unit === "packets"}
          onClick={() => setUnit(unit === "bits" ? "packets" : "bits")}
        >
          Packets
        </button>
      </div>
      <div ref={box} class="chart" role="img" aria-label={`Throughput over the last minutes. ${wordsOf(last, unit)}`} />
      <div class="legend">
        {linesOf(unit).map(({ label, colour, bytes, packets }) => (
          <span key={label} class={`key line${colour}`}>
            {label} <b>{last == null ? "–" : unit === "bits" ? bits(bytes(last)) : perSecond(packets(last))}</b>
          </span>
        ))}
      </div>
    </>
  );
}

function linesOf(unit: Unit): readonly Line[] {
  return unit === "bits" ? LINES.slice(0, 3) : LINES;
}

function dataOf(samples: readonly PageSample[], unit: Unit): uPlot.AlignedData {
  const rows = linesOf(unit).map(({ bytes, packets }) =>
    samples.map(({ rates }) => (rates === null ? null : unit === "bits" ? 8 * bytes(rates) : packets(rates))),
  );
  return [samples.map(({ at }) => at / 1000), ...rows];
}

function wordsOf(rates: PageRates | null | undefined, unit: Unit): string {
  if (rates == null) return "Nothing was measured yet.";
  return linesOf(unit)
    .map((line) => `${line.label}: ${unit === "bits" ? bits(line.bytes(rates)) : perSecond(line.packets(rates))}`)
    .join(", ");
}

function optionsOf(box: HTMLElement, unit: Unit): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--hairline"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width: box.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 7 } },
    scales: {
      x: { range: (_plot, from, to) => [to - spanOf(from, to), to] },
      y: { range: (_plot, _from, to) => [0, to > 0 ? 1.15 * to : 1] },
    },
    axes: [
      { ...axis, size: 34, space: 70, values: (_plot, times) => times.map(clockTime) },
      {
        ...axis,
        size: 76,
        values: (_plot, values) => values.map((v) => quantity(v, unit === "bits" ? "bit/s" : "/s")),
      },
    ],
    series: [
      {},
      ...linesOf(unit).map(({ label, colour: name }, i) => ({
        label,
        stroke: colour(name),
        width: 1.75,
        points: { show: false },
        ...(i < 2 && { fill: `${colour(name)}1f` }),
      })),
    ],
  };
}

function clockTime(seconds: number): string {
  const time = new Date(1000 * seconds);
  const isWhole = time.getSeconds() === 0;
  return time.toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    ...(!isWhole && { second: "2-digit" }),
    hour12: false,
  });
}

function spanOf(from: number, to: number): number {
  return Math.min(LONGEST_S, Math.max(SHORTEST_S, to - from));
}

function useDark(): boolean {
  const [query] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const onChange = (): void => setDark(query.matches);
    query.addEventListener("change", onChange);
    return () => query.removeEventListener("change", onChange);
  }, [query]);
  return isDark;
}
