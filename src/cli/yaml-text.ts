// YAML as people write it: a field per line, short things within one line. In pieces, as documents may be long.

/** Words that mean something else than themselves in YAML 1.1 or 1.2, in whatever case. */
const RESERVED = /^(?:true|false|yes|no|on|off|y|n|null|nan|inf)$/i;
/** A letter, then letters, digits and what YAML gives no meaning; or an IPv4 address. */
const PLAIN = /^(?:\p{L}[\p{L}\p{M}\p{N}_.-]*|\d+\.\d+\.\d+\.\d+)$/u;
const INDENT = "  ";

/** A mapping of lists, as a document. */
export function* yamlPieces(document: Readonly<Record<string, readonly object[]>>): Generator<string> {
  for (const [section, items] of Object.entries(document)) {
    yield items.length === 0 ? `${section}: []\n` : `${section}:\n`;
    for (const item of items) yield itemText(item);
  }
}

/** A list's item: its fields one per line, and lists of mappings one mapping per line. */
function itemText(item: object): string {
  return Object.entries(item)
    .map(([name, value], i) => `${INDENT}${i === 0 ? "- " : INDENT}${name}:${fieldText(value)}\n`)
    .join("");
}

function fieldText(value: unknown): string {
  if (!Array.isArray(value) || !value.some((item) => typeof item === "object")) return ` ${flowText(value)}`;
  return value.map((item) => `\n${INDENT.repeat(3)}- ${flowText(item)}`).join("");
}

function flowText(value: unknown): string {
  if (typeof value === "string") return PLAIN.test(value) && !RESERVED.test(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(flowText).join(", ")}]`;
  if (typeof value !== "object" || value === null) return String(value);
  const fields = Object.entries(value).map(([name, field]) => `${name}: ${flowText(field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}
