// A seeded generator, so that every random test can be repeated: same seed, same packets.

/** mulberry32: 32 bits of state, good enough to vary packets, and a line long. */
export class Random {
  private state: number;

  constructor(readonly seed: number) {
    this.state = seed >>> 0;
  }

  /** Uniform in 0...2^32-1. */
  u32(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** Uniform in 0...limit-1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * limit);
  }

  /** Uniform in low...high, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.u32() < probability * 0x1_0000_0000;
  }

  pick<T>(from: readonly T[]): T {
    const chosen = from[this.below(from.length)];
    if (chosen === undefined) throw new RangeError("nothing to pick from");
    return chosen;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.fill(bytes);
    return bytes;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.u32();
  }
}

/** The seed of a random test: SAPWOOD_TEST_SEED repeats a failure, else the given default. */
export function testSeed(fallback: number): number {
  const text = process.env["SAPWOOD_TEST_SEED"];
  return text === undefined ? fallback : Number(text) >>> 0;
}

/** The seeds first...last of a random test, or the one of SAPWOOD_TEST_SEED. */
export function seeds(first: number, last: number): number[] {
  if (repeatsOneSeed()) return [testSeed(first)];
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Whether SAPWOOD_TEST_SEED names the only seed. */
export function repeatsOneSeed(): boolean {
  return process.env["SAPWOOD_TEST_SEED"] !== undefined;
}
