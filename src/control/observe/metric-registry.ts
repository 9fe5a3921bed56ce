// Metrics whose values lie elsewhere and are read when somebody asks for them, on prom-client's registry.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

type Labels = Readonly<Record<string, string>>;

/** One series: its labels, in the order of the names, and its value. */
export type Sample = readonly [labels: Labels, value: number];

interface MetricDescription {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** What a histogram has counted: per class, the last of which has no upper bound. */
interface HistogramSample {
  readonly labels: Labels;
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
  counter(description: MetricDescription, read: () => Iterable<Sample>): void {
    new Counter({
      ...this.#configuration(description),
      collect() {
        this.reset();
        for (const [values, value] of read()) this.inc(values, value);
      },
    });
  }

  gauge(description: MetricDescription, read: () => Iterable<Sample>): void {
    new Gauge({
      ...this.#configuration(description),
      collect() {
        this.reset();
        for (const [values, value] of read()) this.set(values, value);
      },
    });
  }

  /** `bounds` are the upper ends of all classes but the last. */
  histogram(description: MetricDescription, bounds: readonly number[], read: () => Iterable<HistogramSample>): void {
    const series = () => [...read()].flatMap((sample) => histogramSeries(description.name, bounds, sample));
    this.#registry.registerMetric(new CountedHistogram(description, series));
  }

  #configuration({ name, help, labels = [] }: MetricDescription) {
    return { name, help, labelNames: [...labels], registers: [this.#registry] };
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
  readonly #description: MetricDescription;

  constructor(description: MetricDescription, read: () => Series[]) {
    const { name, help, labels = [] } = description;
    super({ name, help, labelNames: [...labels], registers: [] });
    this.#description = description;
    this.#read = read;
  }

  /** What the registry asks for. */
  async getForPromString() {
    const { name, help } = this.#description;
    return { name, help, type: "histogram", values: this.#read() };
  }
}

/** Cumulative counts per upper bound, then sum and count. */
function histogramSeries(name: string, bounds: readonly number[], { labels, classes, sum }: HistogramSample): Series[] {
  let count = 0;
  const buckets = classes.map((inClass, i) => {
    count += inClass;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: String(bounds[i] ?? "+Inf") }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: { ...labels }, value: sum },
    { metricName: `${name}_count`, labels: { ...labels }, value: count },
  ];
}
