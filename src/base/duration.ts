// Lengths of time as the config file has them: "400ms", "30s", "5m", "24h".

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds, or undefined when the text is no duration. Zero needs no unit. */
export function parseDuration(text: string | number): number | undefined {
  if (text === 0 || text === "0") return 0;
  const match = /^(\d{1,10})(ms|s|m|h)$/.exec(String(text));
  const unitMs = UNIT_MS[match?.[2] ?? ""];
  return unitMs === undefined ? undefined : Number(match?.[1]) * unitMs;
}
