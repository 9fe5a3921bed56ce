// Objects whose keys count whatever their case is, as Go's decoders have it.

/**
 * The object with its keys as `names` spell them; other keys are left out. Of several spellings the last one counts.
 */
export function withKnownKeys(value: object, names: readonly string[]): Record<string, unknown> {
  const known = new Map(names.map((name) => [name.toLowerCase(), name]));
  const result: Record<string, unknown> = {};
  for (const [key, part] of Object.entries(value)) {
    const name = known.get(key.toLowerCase());
    if (name !== undefined) result[name] = part;
  }
  return result;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
