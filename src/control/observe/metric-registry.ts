// Metrics whose values lie elsewhere and are read when somebody asks for them, on prom-client's registry.

import { Counter, collectDefaultMetrics, Gauge, Histogram, type HistogramConfiguration, Registry } from "prom-client";

/** One series: the values of its labels, in the order of their names, and its own. */
export type Sample = readonly [...labels: (string | number)[], value: number];

/** All series of a metric; of one without labels its value, or undefined when there is none. */
type Reading = Iterable<Sample> | number | undefined;

/** What a histogram has counted: per class, the last of which has no upper bound. */
interface HistogramSample {
  readonly label: string;
  readonly classes: readonly number[];
  readonly sum: number;
}

/** Metrics of Node.js whose names break Prometheus' conventions: gauges that end in "_total". */
const UNCONVENTIONAL = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

export class MetricRegistry {
  readonly #registry = new Registry();

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** A number that only grows; it may begin again at 0. */
  counter(name: string, help: string, labels: readonly string[], read: () => Reading): void {
    new Counter({
      ...{ name, help, labelNames: [...labels], registers: [this.#registry] },
      collect() {
        this.reset();
        for (const [values, value] of samplesOf(labels, read())) this.inc(values, value);
      },
    });
  }

  gauge(name: string, help: string, labels: readonly string[], read: () => Reading): void {
    new Gauge({
      ...{ name, help, labelNames: [...labels], registers: [this.#registry] },
      collect() {
        this.reset();
        for (const [values, value] of samplesOf(labels, read())) this.set(values, value);
      },
    });
  }

  /** `bounds` are the upper ends of all classes but the last. */
  histogram(
    name: string,
    help: string,
    label: string,
    bounds: readonly number[],
    read: () => Iterable<HistogramSample>,
  ): void {
    const series = () => [...read()].flatMap((sample) => histogramSeries(name, label, bounds, sample));
    this.#registry.registerMetric(new CountedHistogram({ name, help, labelNames: [label] }, series));
  }

  /** Memory, processor time, descriptors and event loop of this process. */
  process(): void {
    collectDefaultMetrics({ register: this.#registry });
    for (const name of UNCONVENTIONAL) this.#registry.removeSingleMetric(name);
  }

  /** All metrics in the text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

interface Series {
  readonly metricName: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

/** One whose classes were counted elsewhere. */
class CountedHistogram extends Histogram<string> {
  readonly #read: () => Series[];
  readonly #description: { readonly name: string; readonly help: string };

  constructor(description: HistogramConfiguration<string>, read: () => Series[]) {
    super({ ...description, registers: [] });
    this.#description = description;
    this.#read = read;
  }

  /** What the registry asks for. */
  async getForPromString() {
    const { name, help } = this.#description;
    return { name, help, type: "histogram", values: this.#read() };
  }
}

function samplesOf(names: readonly string[], reading: Reading): [labels: Record<string, string>, value: number][] {
  if (reading === undefined) return [];
  const samples: Iterable<Sample> = typeof reading === "number" ? [[reading]] : reading;
  return Array.from(samples, (sample) => {
    const labels = Object.fromEntries(names.map((name, i) => [name, String(sample[i])]));
    return [labels, Number(sample[names.length])];
  });
}

/** Cumulative counts per upper bound, then sum and count. */
function histogramSeries(
  name: string,
  labelName: string,
  bounds: readonly number[],
  { label, classes, sum }: HistogramSample,
): Series[] {
  const labels = { [labelName]: label };
  let count = 0;
  const buckets = classes.map((inClass, i) => {
    count += inClass;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: String(bounds[i] ?? "+Inf") }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
