// Measures the paths in turns: each round takes every measurement on both paths, one right after the other, and the
// next round begins with the other path. So a machine that gets slower or busier on the way hits both alike.

import { type Summary, summarise } from "../statistics.ts";
import { type Measurement, type Metric, WARM_UP_SECONDS } from "./measurements.ts";
import { type Path, type PathName, PLAIN } from "./path.ts";

interface Plan {
  readonly measurements: readonly Measurement[];
  readonly rounds: number;
  readonly seconds: number; // of each measurement
}

/** A metric on a path: one value per round, in their order. */
export interface Series {
  readonly metric: Metric;
  readonly path: PathName;
  readonly values: readonly number[];
}

/** `onStep` hears what is measured next, as a share of the whole and in words. */
export async function measureInTurns(
  paths: readonly Path[],
  { measurements, rounds, seconds }: Plan,
  onStep: (done: number, what: string) => void,
): Promise<Series[]> {
  for (const path of paths) {
    onStep(0, `${path.name}: warm-up`);
    for (const measurement of onePerKind(measurements)) await measurement.run(path, WARM_UP_SECONDS);
  }
  const values = new Map<string, number[]>();
  const stepCount = rounds * measurements.length * paths.length;
  let step = 0;
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? paths : [...paths].reverse();
    for (const measurement of measurements) {
      for (const path of order) {
        onStep(step++ / stepCount, `round ${round + 1}: ${path.name}, ${measurement.name}`);
        const measured = await measurement.run(path, seconds);
        for (const [metric, value] of Object.entries(measured)) {
          const key = `${path.name} ${metric}`;
          values.set(key, [...(values.get(key) ?? []), value]);
        }
      }
    }
  }
  return measurements
    .flatMap(({ metrics }) => metrics)
    .flatMap((metric) => {
      return paths.map(({ name }) => ({ metric, path: name, values: values.get(`${name} ${metric.name}`) ?? [] }));
    });
}

/** The one path's figure by the other's, round by round: neighbours in time are compared, not extremes. */
export function ratioOf(series: readonly Series[], metric: Metric, compared = PLAIN): Summary | undefined {
  const valuesOf = (path: PathName) => series.find((one) => one.metric === metric && one.path === path)?.values ?? [];
  const others = valuesOf(compared.with);
  const ratios = valuesOf(compared.path).flatMap((value, round) => {
    const other = others[round];
    return other === undefined ? [] : [value / other];
  });
  return ratios.length === 0 ? undefined : summarise(ratios);
}

/** IPv6 warms the same code as IPv4, and four streams the same as one. */
function onePerKind(measurements: readonly Measurement[]): Measurement[] {
  const kindOf = ({ name }: Measurement) => name.replace(/\d?(?:_free)?_v\d$/, "");
  const kinds = new Map(measurements.map((measurement) => [kindOf(measurement), measurement]));
  return [...kinds.values()];
}
