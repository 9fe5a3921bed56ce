// Numbers, times and addresses for people.

const KILO = 1000;
const PREFIXES = ["", "k", "M", "G", "T"];

/** Three figures and a unit with its SI prefix: "1.25 Mbit/s". */
export function quantity(value: number, unit: string): string {
  if (!Number.isFinite(value) || Math.abs(value) < 0.005) return `0 ${unit}`.trim();
  let scaled = value;
  let prefix = 0;
  while (Math.abs(scaled) >= KILO - 0.5 && prefix < PREFIXES.length - 1) {
    scaled /= KILO;
    prefix += 1;
  }
  const digits =
    Math.abs(scaled) >= 100 || (prefix === 0 && Number.isInteger(scaled)) ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${Number(scaled.toFixed(digits))} ${PREFIXES[prefix]}${unit}`.trim();
}

export function bits(bytesPerSecond: number): string {
  return quantity(8 * bytesPerSecond, "bit/s");
}

/** A rate of things that have no unit: "12 /s". */
export function perSecond(rate: number): string {
  return quantity(rate >= 10 ? Math.round(rate) : rate, "/s");
}

/** Thousands are set apart by a narrow space: "262 144". */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function things(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

export function roundTrip(ms: number | null): string {
  if (ms === null) return "–";
  return ms < 10 ? `${ms.toFixed(2)} ms` : ms < 100 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

export function percent(part: number): string {
  const value = 100 * part;
  return `${value > 0 && value < 10 ? Number(value.toFixed(1)) : Math.round(value)} %`;
}

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
];

/** The two largest units: "2 d 4 h", "35 s". */
export function duration(ms: number): string {
  const first = UNITS.findIndex(([, unitMs]) => ms >= unitMs);
  if (first < 0) return `${Math.max(0, Math.round(ms))} ms`;
  let rest = ms;
  const parts = UNITS.slice(first, first + 2).flatMap(([unit, unitMs]) => {
    const whole = Math.floor(rest / unitMs);
    rest -= whole * unitMs;
    return whole === 0 ? [] : [`${whole} ${unit}`];
  });
  return parts.join(" ");
}

export function endpoint(address: string, port: number): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return port === 0 ? address : `${host}:${port}`;
}

/** As people quote it. */
export function shortHash(sha256: string): string {
  return sha256.slice(0, 10);
}
