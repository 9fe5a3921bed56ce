// Which parts of the project's own sources ran, by V8's precise coverage: the signal that a mutant did something new.
// V8 tells of each function that ran the ranges that did not. A look costs a few milliseconds, so that one is taken for
// many cases.
import { type Profiler, Session } from "node:inspector";

/** The program, and not the fuzzer. */
const OWN_SOURCES = /\/(?:dist\/)?src\//;

interface Range {
  readonly start: number;
  readonly end: number;
}

/** By function: parts of its source. */
export type Parts = ReadonlyMap<string, readonly Range[]>;

export class SourceCoverage {
  private readonly session = new Session();
  /** Of each function that ran at some time, what never ran. */
  private readonly missing = new Map<string, readonly Range[]>();

  constructor() {
    this.session.connect();
    this.session.post("Profiler.enable");
    this.session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Of each function that ran since this was asked last, what did not run. */
  look(): Parts {
    let result: Profiler.ScriptCoverage[] = [];
    // Within one process the answer comes before post() returns.
    this.session.post("Profiler.takePreciseCoverage", (_error, coverage) => {
      result = coverage.result;
    });
    const parts = new Map<string, readonly Range[]>();
    for (const { url, functions } of result) {
      if (!OWN_SOURCES.test(url)) continue;
      for (const { ranges } of functions) {
        const [whole] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        const holes = ranges.filter(({ count }) => count === 0);
        parts.set(
          `${url} ${whole.startOffset} ${whole.endOffset}`,
          holes.map(({ startOffset, endOffset }) => ({ start: startOffset, end: endOffset })),
        );
      }
    }
    return parts;
  }

  /** What ran by a look and never before. */
  newIn(look: Parts): Parts {
    const found = new Map<string, readonly Range[]>();
    for (const [name, holes] of look) {
      const ran = without(this.missing.get(name) ?? [wholeOf(name)], holes);
      if (ran.length > 0) found.set(name, ran);
    }
    return found;
  }

  /** That ran. */
  add(look: Parts): void {
    for (const [name, holes] of look) this.missing.set(name, common(this.missing.get(name) ?? [wholeOf(name)], holes));
  }

  /** Functions that ran. */
  get size(): number {
    return this.missing.size;
  }

  close(): void {
    this.session.disconnect();
  }
}

/** Whether all of `parts` ran by a look. */
export function hasRun(look: Parts, parts: Parts): boolean {
  for (const [name, ranges] of parts) {
    const holes = look.get(name);
    if (holes === undefined || common(ranges, holes).length > 0) return false;
  }
  return true;
}

function wholeOf(name: string): Range {
  const [start, end] = name.split(" ").slice(-2).map(Number) as [number, number];
  return { start, end };
}

function common(some: readonly Range[], others: readonly Range[]): Range[] {
  return some.flatMap((one) =>
    others
      .map(({ start, end }) => ({ start: Math.max(one.start, start), end: Math.min(one.end, end) }))
      .filter(({ start, end }) => start < end),
  );
}

function without(some: readonly Range[], others: readonly Range[]): Range[] {
  return others.reduce<readonly Range[]>(
    (left, { start, end }) =>
      left.flatMap((one) => [
        ...(one.start < Math.min(one.end, start) ? [{ start: one.start, end: Math.min(one.end, start) }] : []),
        ...(Math.max(one.start, end) < one.end ? [{ start: Math.max(one.start, end), end: one.end }] : []),
      ]),
    some,
  ) as Range[];
}
