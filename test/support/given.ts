// What a test knows to be there, and TypeScript does not. Fails the test with a sentence when it is missing.

/** The value, which must be there and no number: where there is no packet, some functions return a DropReason. */
export function given<T>(value: T): Exclude<T, undefined | number> {
  if (value === undefined || typeof value === "number") throw new Error(`expected a value, found ${value}`);
  return value as Exclude<T, undefined | number>;
}

/** The entry of a list at an index from 0. */
export function nth<T>(list: readonly T[], index: number): T {
  const entry = list[index];
  if (entry === undefined) throw new Error(`expected an entry ${index}, found a list of ${list.length}`);
  return entry;
}
