// Sizes as the config file has them: "64KiB", "16MiB".

const UNIT_BYTES: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Bytes, or undefined when the text is no size. */
export function parseByteSize(text: string | number): number | undefined {
  const match = /^(\d{1,10})(KiB|MiB|GiB)$/.exec(String(text));
  const unitBytes = UNIT_BYTES[match?.[2] ?? ""];
  return unitBytes === undefined ? undefined : Number(match?.[1]) * unitBytes;
}
