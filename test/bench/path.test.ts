// The arithmetic and the pictures of `npm run bench path`; what it measures is never a matter of tests.
import { describe, expect, test } from "vitest";
import { renderChart } from "../../bench/path/chart.ts";
import { dropsSince, receiveBufferErrors } from "../../bench/path/drops.ts";
import { requireTools } from "../../bench/path/machine.ts";
import { MEASUREMENTS, type Measurement, type Metric } from "../../bench/path/measurements.ts";
import { OTHER, PATH_NAMES, type Path, PLAIN } from "../../bench/path/path.ts";
import { parseBusySeconds } from "../../bench/path/processor-time.ts";
import { figure, ratiosOf, renderResults, rowsOf } from "../../bench/path/report.ts";
import { measureInTurns, ratioOf, type Series } from "../../bench/path/rounds.ts";
import { quantile, summarise } from "../../bench/statistics.ts";

const RATE: Metric = { name: "rate", label: "a < b & c", unit: "Gbit/s", better: "more", isCharted: true };
const SENT: Metric = { name: "sent", label: "sent", unit: "packets/s", better: "neither", isCharted: false };

function series(metric: Metric, sapwood: readonly number[], kernel: readonly number[]): Series[] {
  return [
    { metric, path: "sapwood", values: sapwood },
    { metric, path: "kernel", values: kernel },
  ];
}

describe("statistics", () => {
  test.each([
    { sorted: [7], part: 0.5, expected: 7 },
    { sorted: [1, 2], part: 0.5, expected: 1.5 },
    { sorted: [1, 2, 3, 4, 5], part: 0.5, expected: 3 },
    { sorted: [0, 100], part: 0.99, expected: 99 },
    { sorted: [1, 2, 9], part: 1, expected: 9 },
  ])("quantile $part of $sorted is $expected", ({ sorted, part, expected }) => {
    expect(quantile(sorted, part)).toBeCloseTo(expected, 10);
  });

  test("a summary does not depend on the order of the rounds", () => {
    expect(summarise([10, 2, 33])).toEqual({ median: 10, min: 2, max: 33 });
  });

  test("a ratio compares the two paths of a round, and is the median of these", () => {
    // The medians, 3 and 4, would make 0.75; the rounds make 0.5, 1.5 and 1.
    expect(ratioOf(series(RATE, [1, 3, 8], [2, 2, 8]), RATE)?.median).toBe(1);
    expect(ratioOf(series(RATE, [1, 3, 8], [2, 2, 8]), RATE)).toEqual({ median: 1, min: 0.5, max: 1.5 });
  });

  test("a path alone has no ratio", () => {
    expect(ratioOf(series(RATE, [1, 2], []), RATE)).toBeUndefined();
  });
});

describe("measuring in turns", () => {
  async function orderOf(rounds: number): Promise<string[]> {
    const order: string[] = [];
    const measurement = (name: string): Measurement => ({
      name,
      metrics: [{ ...RATE, name }],
      run: async (path) => {
        order.push(`${path.name} ${name}`);
        return { [name]: order.length };
      },
    });
    const paths = PATH_NAMES.map((name) => ({ name }) as Path);
    const plan = { measurements: [measurement("tcp1_v4"), measurement("rtt_v4")], rounds, seconds: 1 };
    await measureInTurns(paths, plan, () => undefined);
    return order.slice(4); // behind the warm-up
  }

  test("each measurement is taken on both paths before the next, and every other round begins with the other", async () => {
    expect(await orderOf(2)).toEqual([
      ...["sapwood tcp1_v4", "kernel tcp1_v4", "sapwood rtt_v4", "kernel rtt_v4"],
      ...["kernel tcp1_v4", "sapwood tcp1_v4", "kernel rtt_v4", "sapwood rtt_v4"],
    ]);
  });
});

describe("reading the kernel", () => {
  test("busy is all but idle and waiting for a disk, guests counted once", () => {
    expect(parseBusySeconds("cpu  100 20 300 9999 888 4 50 7 60 6\ncpu0 1 1 1 1\n")).toBe(4.74);
  });

  test("full receive buffers are found by name, for both families", () => {
    const snmp = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 9 30 7\n";
    expect(
      receiveBufferErrors(`${snmp}Udp6InDatagrams   \t8\nUdp6RcvbufErrors   \t12\nUdpLite6RcvbufErrors \t5\n`),
    ).toBe(42);
  });
});

test("what was dropped before the run is not the run's", () => {
  expect(dropsSince({ old: 4, more: 1 }, { old: 4, more: 3, fresh: 2 })).toEqual({ more: 2, fresh: 2 });
});

describe("report", () => {
  const rows = rowsOf([...series(RATE, [1, 2, 3], [4, 4, 4]), ...series(SENT, [10], [20])]);

  test("what only explains another metric has no ratio", () => {
    expect(ratiosOf(rows)).toEqual({ "sapwood / kernel": { rate: 0.5 } });
  });

  test("each comparison has its ratio", () => {
    const other: Series = { metric: RATE, path: "other sapwood", values: [1, 1, 1] };
    const compared = rowsOf([...series(RATE, [1, 2, 3], [4, 4, 4]), other], [PLAIN, OTHER]);
    expect(ratiosOf(compared)).toEqual({ "sapwood / kernel": { rate: 0.5 }, "other sapwood / kernel": { rate: 0.25 } });
    expect(renderResults(compared)).toMatch(/SAPWOOD \/ KERNEL .* OTHER SAPWOOD \/ KERNEL/);
  });

  test("a line of the table has the medians of both paths, their spread, and the ratio", () => {
    const line = renderResults(rows)
      .split("\n")
      .find((text) => text.startsWith("a < b"));
    expect(line?.split(/\s{2,}/)).toEqual(["a < b & c", "Gbit/s", "2", "1..3", "4", "4..4", "0.5", "0.25..0.75"]);
  });

  test.each([
    [0.12345, "0.123"],
    [12.46, "12.5"],
    [1234567, "1 230 000"],
  ])("%d is shown as %s", (value, text) => {
    expect(figure(value)).toBe(text);
  });

  test("the chart shows what is charted, escaped, the longer bar at full width and the other in proportion", () => {
    const svg = renderChart(rows, "here & now");
    expect(svg).toContain("a &lt; b &amp; c");
    expect(svg).toContain("here &amp; now");
    expect(svg).not.toContain(">sent<");
    const widths = [...svg.matchAll(/<rect class="(\w+)" x="276" y="\d+" width="([\d.]+)"/g)];
    const [sapwood, kernel] = widths.map(([, , width]) => Number(width));
    expect(widths.map(([, path]) => path)).toEqual(["sapwood", "kernel"]);
    expect((sapwood ?? 0) / (kernel ?? 0)).toBe(0.5);
  });
});

test("all measurements and metrics have names of their own", () => {
  const names = MEASUREMENTS.map(({ name }) => name);
  const metrics = MEASUREMENTS.flatMap((measurement) => measurement.metrics.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(metrics).size).toBe(metrics.length);
  expect(metrics).toEqual(expect.arrayContaining(["tcp1_v4", "tcp4_v6", "udp64_v4", "rtt_p50_v4", "rtt_p99_v4"]));
});

test("missing programs are named together, with what to install", () => {
  const missing = { "sapwood-none-a": "package-a", "sapwood-none-b": "package-b", "sh": "dash" };
  expect(() => requireTools(missing)).toThrow(
    "The benchmark needs `sapwood-none-a` and `sapwood-none-b` in the PATH; on Debian: apt-get install package-a package-b.",
  );
});
