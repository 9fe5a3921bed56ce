// Places in a JSON text, against those that the library finds when the same text is read as YAML.
import { expect, test } from "vitest";
import type { SapwoodError } from "../../../../src/base/errors.ts";
import type { FieldPath } from "../../../../src/base/issues.ts";
import { ConfigDocument } from "../../../../src/control/config/config-document.ts";
import { readText } from "../../../../src/control/config/text-reader.ts";
import { Random } from "../../../support/random.ts";

/** Before a JSON text, it is YAML and no JSON; what follows is a line further down. */
const COMMENT = "# JSON is YAML, too.\n";
const KEYS = ["a", "services", 'q"uote', "back\\slash", "ümläut", "🌲", "", "[", "}", ":", ","];

const random = new Random(7);

/** A value of JSON as text, with white space where YAML has it, too. */
function textOf(depth: number): string {
  const blank = (): string => random.pick(["", "", " ", "\n", "\n  ", "\r\n "]);
  const kind = depth === 0 ? 0 : random.below(depth > 3 ? 2 : 5);
  const list = (items: readonly string[]): string => items.map((item) => `${blank()}${item}${blank()}`).join(",");
  if (kind < 2 && depth > 0) {
    return random.pick(["1", "-1.5e3", "true", "null", '"text"', '"a \\" b"', '"]},"', '"🌲\\u00e4"', "[]", "{}"]);
  }
  if (kind === 2) return `[${list(Array.from({ length: random.below(4) }, () => textOf(depth + 1)))}]`;
  const keys = KEYS.filter(() => random.below(3) === 0);
  return `{${list(keys.map((key) => `${keyText(key)}:${random.pick([" ", "\n "])}${textOf(depth + 1)}`))}}`;
}

/** Written in one of the ways that JSON has. */
function keyText(key: string): string {
  const escaped = [...key].map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  return key.length > 0 && random.below(4) === 0 && key !== "🌲" ? `"${escaped}"` : JSON.stringify(key);
}

/** Of fields that are there, and of some that are not. */
function pathsOf(value: unknown, path: FieldPath = []): FieldPath[] {
  if (typeof value !== "object" || value === null) return [path, [...path, "none"]];
  const parts = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, [...path, Array.isArray(value) ? value.length : "none"]].concat(
    parts.flatMap(([name, inner]) => pathsOf(inner, [...path, name])),
  );
}

function placeIn(document: ConfigDocument, path: FieldPath): { readonly line: number; readonly column: number } {
  const refusal: SapwoodError = document.refusal([{ path, message: "expected another" }]);
  const { line = 0, column = 0 } = refusal.details[0] ?? {};
  return { line, column };
}

test("are those of the same text as YAML", () => {
  let compared = 0;
  for (let i = 0; i < 300; i++) {
    const text = `${random.pick(["", " ", "\n"])}${textOf(0)}`;
    const json = new ConfigDocument(text, "text");
    const yaml = new ConfigDocument(`${COMMENT}${text}`, "text");
    for (const path of pathsOf(JSON.parse(text))) {
      const { line, column } = placeIn(yaml, path);
      expect(placeIn(json, path), `${text} ${JSON.stringify(path)}`).toEqual({ line: line - 1, column });
      compared += 1;
    }
  }
  expect(compared).toBeGreaterThan(2_000);
});

test("of a mistake in so many services that YAML would take too long are found", async () => {
  const instances = Array.from({ length: 10 }, (_, i) => ({
    ...{ number: i, node: "node-b", namespace: ["10.18.3.1"], addresses: ["10.30.0.3", "fdff::3"] },
  }));
  const services: object[] = Array.from({ length: 35_000 }, (_, i) => ({ name: `service-${i}`, instances }));
  services.push({ name: "wrong", instances: [{ ...instances[0], weight: "heavy" }] });
  const text = `{"services": [\n${services.map((service) => JSON.stringify(service)).join(",\n")}\n]}`;
  const reading = readText(text, { kind: "tables", name: "tables", options: {} });
  await expect(reading).rejects.toThrow(
    /^tables:35002:\d+: services\[35000\]\.instances\[0\]\.weight: expected .*, found the text "heavy"$/,
  );
});
