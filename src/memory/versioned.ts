// Words of versioned values (layout/header.ts): which of the two places is the newer one, and since when.

/** The place that a reader in `generation` looks at. */
export function placeInForce(word: number, generation: number): number {
  const newer = word & 1;
  return generation >= word >>> 1 ? newer : newer ^ 1;
}

/** The place that no reader of the generation in force looks at while `generation` is being built. */
export function placeToWrite(word: number, generation: number): number {
  const newer = word & 1;
  return word >>> 1 === generation ? newer : newer ^ 1;
}

export function versionWord(generation: number, newer: number): number {
  return ((generation << 1) | newer) >>> 0;
}
