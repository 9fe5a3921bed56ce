// `expect` takes 20 microseconds for each call. Loops of many thousand compare first, and call it only to fail.
import { expect } from "vitest";

/** As `expect(found, what).toBe(expected)`. */
export function expectSame<T>(found: T, expected: T, what: string): void {
  if (!Object.is(found, expected)) expect(found, what).toBe(expected);
}

/** As `expect(found, what).toBeLessThanOrEqual(limit)`. */
export function expectAtMost(found: number, limit: number, what: string): void {
  if (!(found <= limit)) expect(found, what).toBeLessThanOrEqual(limit);
}
