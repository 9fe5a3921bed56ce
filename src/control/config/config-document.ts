// A YAML text checked against a schema, with a line for each thing that is wrong: all of them at once, one per line,
// as "file:line:column: field: expected ..., found ...".

import { type Document, isMap, isScalar, isSeq, LineCounter, type Pair, type YAMLMap } from "yaml";
import * as z from "zod";
import { type ErrorDetail, SapwoodError } from "../../base/errors.ts";
import {
  type FieldPath,
  fieldName,
  type Issue,
  joinLines,
  LINES_MAX,
  meantText,
  shortText,
} from "../../base/issues.ts";
import { printableLine } from "../../base/printable.ts";
import { readServices } from "./bulk-service.ts";
import { JsonPlaces } from "./json-places.ts";
import { checkJsonNesting, countFields } from "./nesting.ts";
import type { ServiceContext, ServiceCounts } from "./plain-services.ts";
import { yamlFault } from "./yaml-errors.ts";
import { placeOf, readYaml, YamlError, yamlValue } from "./yaml-text.ts";

/** One thing that is wrong, and where in the text. */
interface Fault {
  readonly at: number;
  readonly field?: string;
  readonly message: string;
}

export class ConfigDocument {
  /** Reads the services, which are elsewhere then; undefined: they are in the text. */
  readonly servicesElsewhere: ((context: ServiceContext) => ServiceCounts) | undefined;
  readonly #fileName: string;
  readonly #lines = new LineCounter();
  readonly #yaml: string;
  readonly #value: unknown;
  readonly #isJson: boolean = false;
  readonly #pairs = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();
  #parsed: Document.Parsed | undefined;
  #places: JsonPlaces | undefined;

  /** Throws config-invalid when the text is no YAML, or nested deeper than any configuration. */
  constructor(yaml: string, fileName: string, servicesElsewhere?: (context: ServiceContext) => ServiceCounts) {
    this.servicesElsewhere = servicesElsewhere;
    this.#fileName = printableLine(fileName);
    this.#yaml = yaml;
    const json = this.#json();
    if (json !== undefined) {
      this.#value = json;
      this.#isJson = true;
      return;
    }
    const document = this.#document;
    const errors = [...document.errors, ...document.warnings]; // a tag that means nothing is but a warning
    if (errors.length > 0) {
      throw this.#refusal(
        errors.map(({ code, message, pos: [at] }) => ({ at, message: yamlFault(code, message, yaml, at) })),
      );
    }
    this.#value = this.#orRefused(() => yamlValue(document));
  }

  /** The content as the schema has it; throws config-invalid with everything that is wrong. */
  parse<Schema extends z.ZodType>(schema: Schema): z.output<Schema> {
    const written = knowsServices(schema) ? this.#valueAt(["services"]) : undefined;
    const { services, issues } = readServices(Array.isArray(written) ? written : []);
    // The schema itself takes several times as long for very many of them.
    const result = schema.safeParse(Array.isArray(written) ? { ...Object(this.#value), services: [] } : this.#value);
    const found = [...(result.error?.issues ?? []), ...issues];
    if (!result.success || found.length > 0) throw this.refusal(found.flatMap((issue) => this.#translate(issue)));
    return Array.isArray(written) ? { ...Object(result.data), services } : result.data;
  }

  /** Whether the text names this section, with whatever content. */
  has(section: string): boolean {
    return typeof this.#value === "object" && this.#value !== null && Object.hasOwn(this.#value, section);
  }

  /** The error that names these issues with file and line. */
  refusal(issues: readonly Issue[]): SapwoodError {
    return this.#refusal(
      issues.map(({ path, message }) => ({ at: this.#placeOf(path), field: fieldName(path), message })),
    );
  }

  #refusal(faults: readonly Fault[]): SapwoodError {
    const sorted = faults.toSorted((a, b) => a.at - b.at);
    const details = sorted.slice(0, LINES_MAX).map(({ at, field, message }): ErrorDetail => {
      return { message, ...(field && { field }), file: this.#fileName, ...this.#position(at) };
    });
    const lines = details.map(({ file, line, column, field, message }) => {
      return `${file}:${line}:${column}: ${field === undefined ? "" : `${field}: `}${message}`;
    });
    return new SapwoodError("config-invalid", joinLines(lines, sorted.length - lines.length), { details });
  }

  /** The text with the places of its fields. */
  get #document(): Document.Parsed {
    this.#parsed ??= this.#orRefused(() => readYaml(this.#yaml, this.#lines));
    return this.#parsed;
  }

  /** JSON is YAML, too, but read several times as fast: it is what programs write, with very many services perhaps. */
  #json(): unknown {
    if (!this.#yaml.trimStart().startsWith("{")) return undefined;
    const fields = checkJsonNesting(this.#yaml, (message, at) => this.#refusal([{ at, message }]));
    try {
      const value: unknown = JSON.parse(this.#yaml);
      // JSON.parse() keeps the last of two fields with one name; YAML refuses the second, with its line.
      return countFields(value) === fields ? value : undefined;
    } catch {
      return undefined; // YAML in braces, or an error for which YAML has a line
    }
  }

  /** What `read` returns; what it throws about a place in the text names the line. */
  #orRefused<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof YamlError)) throw error;
      throw this.#refusal([{ at: error.at, message: error.message }]);
    }
  }

  /** Both from 1. A column is a character, whatever its length in UTF-16. */
  #position(at: number): { readonly line: number; readonly column: number } {
    const start = at === 0 ? 0 : this.#yaml.lastIndexOf("\n", at - 1) + 1;
    return { line: this.#lineAt(at), column: [...this.#yaml.slice(start, at)].length + 1 };
  }

  /** A text that was refused while it was read has no lines of the parser. */
  #lineAt(at: number): number {
    if (this.#parsed !== undefined) return this.#lines.linePos(at).line;
    let line = 1;
    for (let end = this.#yaml.indexOf("\n"); end !== -1 && end < at; end = this.#yaml.indexOf("\n", end + 1)) line += 1;
    return line;
  }

  #translate(issue: z.core.$ZodIssue): Issue[] {
    const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
    if (issue.code === "unrecognized_keys") {
      const known = issue.message.split(", ");
      return issue.keys.map((key, i) => {
        const hint = i < LINES_MAX ? meantText(key, known) : ""; // the others are not shown
        return { path: [...path, key], message: `expected one of ${issue.message}, found ${shortText(key)}${hint}` };
      });
    }
    if (issue.code === "invalid_key") {
      return [
        { path, message: `${issue.issues[0]?.message ?? issue.message}, found ${shortText(String(path.at(-1)))}` },
      ];
    }
    const message = issue.code === "invalid_union" ? unionMessage(issue) : issue.message;
    if (message.includes(", found ")) return [{ path, message }];
    return [{ path, message: `${message}, found ${foundText(this.#valueAt(path), expectsText(issue))}` }];
  }

  #valueAt(path: FieldPath): unknown {
    return path.reduce<unknown>(
      (value, part) => (typeof value === "object" && value !== null ? Reflect.get(value, part) : undefined),
      this.#value,
    );
  }

  /** Where the field is, or the innermost one around it that exists. */
  #placeOf(path: FieldPath): number {
    if (this.#isJson) {
      this.#places ??= new JsonPlaces(this.#yaml);
      return this.#places.placeOf(path);
    }
    let node = this.#document.contents as unknown;
    let offset = placeOf(node);
    for (const part of path) {
      if (isMap(node)) {
        const pair = this.#pairsOf(node).get(String(part));
        if (pair === undefined) break;
        offset = placeOf(pair.key, offset);
        node = pair.value;
      } else if (isSeq(node) && typeof part === "number" && node.items[part] !== undefined) {
        node = node.items[part];
        offset = placeOf(node, offset);
      } else {
        break;
      }
    }
    return offset;
  }

  #pairsOf(map: YAMLMap): ReadonlyMap<string, Pair> {
    let pairs = this.#pairs.get(map);
    if (pairs === undefined) {
      pairs = new Map(map.items.map((pair) => [String(isScalar(pair.key) ? pair.key.value : pair.key), pair]));
      this.#pairs.set(map, pairs);
    }
    return pairs;
  }
}

function knowsServices(schema: z.ZodType): boolean {
  return schema instanceof z.ZodObject && "services" in schema.shape;
}

/** Its own message, or that of its last branch: the first is a fixed word. */
function unionMessage(issue: z.core.$ZodIssueInvalidUnion): string {
  return issue.message.startsWith("expected") ? issue.message : (issue.errors.at(-1)?.[0]?.message ?? issue.message);
}

/** Whether a text reads as a number, true, false or nothing would. */
function isLikeAnotherType(text: string): boolean {
  return !Number.isNaN(Number(text)) || ["true", "false", "null"].includes(text);
}

/** Whether a text may be in the place of an issue, though not this one. */
function expectsText(issue: z.core.$ZodIssue): boolean {
  if (issue.code === "invalid_union") return issue.errors.flat().some(expectsText);
  return issue.code !== "invalid_type" || issue.expected === "string";
}

function foundText(value: unknown, isTextExpected: boolean): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "fields";
  if (typeof value !== "string") return `the ${typeof value} ${String(value)}`;
  if (value === "") return '""';
  return isTextExpected && !isLikeAnotherType(value) ? shortText(value) : `the text "${shortText(value)}"`;
}
