/**
 * How much a long test does: as much as every change has to pass, or with SAPWOOD_TEST_SIZE=full all (docs/testing.md).
 */
export function sized<Value>(usual: Value, full: Value): Value {
  const size = process.env.SAPWOOD_TEST_SIZE ?? "usual";
  if (size === "usual") return usual;
  if (size === "full") return full;
  throw new Error(`SAPWOOD_TEST_SIZE: expected usual or full, found ${JSON.stringify(size)}`);
}
