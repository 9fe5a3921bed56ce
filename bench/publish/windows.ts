// What a stream met in a span of time, out of what its receiver noted in small slices.

/** Each note of the receiver covers so much time. */
export const SLICE_US = 10_000;

/** What counts as a gap. */
export const PATH_GAP_US = 1_000;

/** Times are microseconds of the machine's monotonic clock. */
export interface Slice {
  readonly startUs: number;
  readonly packets: number;
  readonly longestGapUs: number; // between two arrivals
  /** The part of a gap that the sender did not make: it sent without such a pause. */
  readonly longestPathGapUs: number;
  readonly pathGaps: number; // of more than PATH_GAP_US
  readonly longestDelayUs: number; // from sending to arrival
}

export interface Span {
  readonly startUs: number;
  readonly endUs: number;
}

export interface Disturbance {
  readonly seconds: number;
  readonly packets: number;
  readonly longestGapMs: number;
  readonly longestPathGapMs: number;
  readonly pathGaps: number;
  readonly longestDelayMs: number;
}

/** The slices that lie within one of the spans, together. */
export function disturbanceIn(slices: readonly Slice[], spans: readonly Span[]): Disturbance {
  const within = slices.filter(({ startUs }) =>
    spans.some((span) => startUs >= span.startUs && startUs + SLICE_US <= span.endUs),
  );
  const longestMs = (lengthOf: (slice: Slice) => number) => Math.max(0, ...within.map(lengthOf)) / 1000;
  return {
    seconds: (within.length * SLICE_US) / 1e6,
    packets: within.reduce((sum, { packets }) => sum + packets, 0),
    pathGaps: within.reduce((sum, { pathGaps }) => sum + pathGaps, 0),
    longestGapMs: longestMs(({ longestGapUs }) => longestGapUs),
    longestPathGapMs: longestMs(({ longestPathGapUs }) => longestPathGapUs),
    longestDelayMs: longestMs(({ longestDelayUs }) => longestDelayUs),
  };
}

/** Microseconds of a clock that all processes of the machine share, and that fit a datagram's mark modulo 2^32. */
export function monotonicUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e6 + Math.floor(nanoseconds / 1000);
}
