// A YAML text as nodes with their places, and as plain values. The library that reads it goes down one call per level,
// looks through all keys of a mapping for each further one, and through the whole text for each alias. So the depth is
// limited while the text is cut into tokens, and keys and aliases are resolved here, each in one step.

import {
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type LineCounter,
  Parser,
  type YAMLMap,
  type Node as YamlNode,
} from "yaml";
import { shortText } from "../../base/issues.ts";
import { NESTING_MAX } from "./nesting.ts";

/** Values that aliases may add; a few lines of aliases to aliases stand for billions. */
export const ALIASED_VALUES_MAX = 1_000_000;

/** What is wrong with a text, and the place in it, in UTF-16 units. */
export class YamlError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = "YamlError";
    this.at = at;
  }
}

/** Reads the first document of a text. Throws a YamlError when it is nested too deep or followed by another one. */
export function readYaml(text: string, lines: LineCounter): Document.Parsed {
  lines.addNewLine(0);
  // Keys that are no text have no place in a configuration; yamlValue() looks for keys that appear twice.
  const composer = new Composer({ uniqueKeys: false, prettyErrors: false, logLevel: "silent" });
  const documents = composer.compose(tokens(text, new Parser(lines.addNewLine)), true, text.length);
  const [document, another] = [documents.next(), documents.next()];
  if (document.done) throw new RangeError("a forced document is missing");
  if (!another.done) throw new YamlError("expected one document, found another one after it", another.value.range[0]);
  return document.value as Document.Parsed;
}

/** The parser's own stack tells the depth, in which block and flow collections, pairs and documents are levels. */
function* tokens(text: string, parser: Parser) {
  let at = 0;
  for (const lexeme of new Lexer().lex(text)) {
    yield* parser.next(lexeme);
    if (parser.stack.length > NESTING_MAX) {
      throw new YamlError(`expected at most ${NESTING_MAX} levels, found more`, at);
    }
    at = parser.offset;
  }
  yield* parser.end();
}

interface Converted {
  readonly value: unknown;
  readonly values: number; // that it consists of, itself included
}

/** The values of a document. Throws a YamlError. */
export function yamlValue(document: Document.Parsed): unknown {
  return new Converter().convert(document.contents).value;
}

class Converter {
  readonly #anchors = new Map<string, Converted>();
  #aliased = 0;

  convert(node: unknown): Converted {
    if (isAlias(node)) return this.#alias(node.source, placeOf(node));
    const converted = this.#plain(node);
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined;
    if (anchor !== undefined) this.#anchors.set(anchor, converted);
    return converted;
  }

  #plain(node: unknown): Converted {
    if (isMap(node)) return this.#map(node);
    if (isScalar(node)) return { value: node.value, values: 1 };
    if (!isSeq(node)) return { value: null, values: 1 };
    let values = 1;
    const value = node.items.map((item) => {
      const converted = this.convert(item);
      values += converted.values;
      return converted.value;
    });
    return { value, values };
  }

  #map(node: YAMLMap): Converted {
    let values = 1;
    const fields = new Map<string, unknown>();
    for (const { key, value } of node.items) {
      const name = keyName(key, placeOf(node));
      if (fields.has(name)) {
        throw new YamlError(`expected each field once, found ${shortText(name)} twice`, placeOf(key, placeOf(node)));
      }
      const converted = this.convert(value);
      values += converted.values;
      fields.set(name, converted.value);
    }
    // Own properties, whatever their names are: "__proto__" as well.
    return { value: Object.fromEntries(fields), values };
  }

  /** An anchor is before its aliases (YAML 1.2.2 section 7.1), so none can hold itself. */
  #alias(name: string, at: number): Converted {
    const anchored = this.#anchors.get(name);
    if (anchored === undefined) {
      throw new YamlError(`expected an anchor &${shortText(name)} before its alias, found none`, at);
    }
    this.#aliased += anchored.values;
    if (this.#aliased <= ALIASED_VALUES_MAX) return anchored;
    throw new YamlError(`expected aliases of at most ${ALIASED_VALUES_MAX} values in all, found more`, at);
  }
}

function keyName(key: unknown, mapAt: number): string {
  if (isScalar(key)) return String(key.value);
  if (key === null) return "null";
  throw new YamlError("expected the name of a field, found a list, fields or an alias", placeOf(key, mapAt));
}

/** Where a node begins; `otherwise` when it is nowhere in the text. */
export function placeOf(node: unknown, otherwise = 0): number {
  return (node as YamlNode | null | undefined)?.range?.[0] ?? otherwise;
}
