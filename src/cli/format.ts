// Quantities and names as people read them.

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** "250 ms", "3.2 s", "12 min 5 s", "3 h 20 min", "2 d 4 h". */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < MINUTE_MS) return `${Math.floor(ms / 1000)} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min ${Math.floor((ms % MINUTE_MS) / 1000)} s`;
  if (ms < DAY_MS) return `${Math.floor(ms / HOUR_MS)} h ${Math.floor((ms % HOUR_MS) / MINUTE_MS)} min`;
  return `${Math.floor(ms / DAY_MS)} d ${Math.floor((ms % DAY_MS) / HOUR_MS)} h`;
}

export function mebibytesText(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** "192.0.2.1:80", "[2001:db8::1]:80". */
export function endpointText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** "1 service", "2 services". */
export function countText(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

/** A value that may be unknown. */
export function orDash<Value>(value: Value | null, text: (value: Value) => string): string {
  return value === null ? "-" : text(value);
}

/** "0", "12", "1.5 k", "20 Mbit/s": two digits at least, where there are any. */
export function rateText(perSecond: number, unitName = ""): string {
  const units = ["", "k", "M", "G", "T"];
  let value = perSecond;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = value < 10 && value !== Math.round(value) ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}${unitName}`.trimEnd();
}
