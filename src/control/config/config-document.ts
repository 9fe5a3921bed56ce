// A YAML text checked against a schema, with a line for each thing that is wrong: all of them at once, one per line,
// as "file:line: field: expected ..., found ...".

import { type Document, isMap, isScalar, isSeq, LineCounter, type Pair, type YAMLMap } from "yaml";
import type { z } from "zod";
import { SapwoodError } from "../../base/errors.ts";
import {
  type FieldPath,
  fieldName,
  type Issue,
  joinLines,
  LINES_MAX,
  meantText,
  shortText,
} from "../../base/issues.ts";
import { checkJsonNesting } from "./nesting.ts";
import { placeOf, readYaml, YamlError, yamlValue } from "./yaml-text.ts";

/** The library repeats what it found. */
const MESSAGE_LENGTH_MAX = 300;

export class ConfigDocument {
  readonly #fileName: string;
  readonly #lines = new LineCounter();
  readonly #yaml: string;
  readonly #value: unknown;
  readonly #pairs = new WeakMap<YAMLMap, ReadonlyMap<string, Pair>>();
  #parsed: Document.Parsed | undefined;

  /** Throws config-invalid when the text is no YAML, or nested deeper than any configuration. */
  constructor(yaml: string, fileName: string) {
    this.#fileName = fileName;
    this.#yaml = yaml;
    const json = this.#json();
    if (json !== undefined) {
      this.#value = json;
      return;
    }
    const document = this.#document;
    const { errors } = document;
    if (errors.length > 0) {
      throw new SapwoodError("config-invalid", joinLines(errors.map(({ pos, message }) => this.#at(pos[0], message))));
    }
    this.#value = this.#orRefused(() => yamlValue(document));
  }

  /** The content as the schema has it; throws config-invalid with everything that is wrong. */
  parse<Schema extends z.ZodType>(schema: Schema): z.output<Schema> {
    const result = schema.safeParse(this.#value);
    if (result.success) return result.data;
    throw this.refusal(result.error.issues.flatMap((issue) => this.#translate(issue)));
  }

  /** Whether the text names this section, with whatever content. */
  has(section: string): boolean {
    return typeof this.#value === "object" && this.#value !== null && Object.hasOwn(this.#value, section);
  }

  /** The error that names these issues with file and line. */
  refusal(issues: readonly Issue[]): SapwoodError {
    const lines = issues
      .map(({ path, message }) => {
        const field = fieldName(path);
        return { line: this.#lineOf(path), text: field === "" ? message : `${field}: ${message}` };
      })
      .sort((a, b) => a.line - b.line)
      .map(({ line, text }) => `${this.#fileName}:${line}: ${text}`);
    return new SapwoodError("config-invalid", joinLines(lines));
  }

  /** The text with the places of its fields. JSON gets here only when a line has to be named. */
  get #document(): Document.Parsed {
    this.#parsed ??= this.#orRefused(() => readYaml(this.#yaml, this.#lines));
    return this.#parsed;
  }

  /** JSON is YAML, too, but read several times as fast: it is what programs write, with very many services perhaps. */
  #json(): unknown {
    if (!this.#yaml.trimStart().startsWith("{")) return undefined;
    checkJsonNesting(this.#yaml, (expected, at) => {
      const line = this.#yaml.slice(0, at).split("\n").length;
      return new SapwoodError("config-invalid", `${this.#fileName}:${line}: ${expected}`);
    });
    try {
      return JSON.parse(this.#yaml);
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
      throw new SapwoodError("config-invalid", this.#at(error.at, error.message), { cause: error });
    }
  }

  #at(offset: number, message: string): string {
    return `${this.#fileName}:${this.#lines.linePos(offset).line}: ${shortText(message, MESSAGE_LENGTH_MAX)}`;
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
    return [{ path, message: `${message}, found ${foundText(this.#valueAt(path))}` }];
  }

  #valueAt(path: FieldPath): unknown {
    return path.reduce<unknown>(
      (value, part) => (typeof value === "object" && value !== null ? Reflect.get(value, part) : undefined),
      this.#value,
    );
  }

  /** Line of the field, or of the innermost one around it that exists. */
  #lineOf(path: FieldPath): number {
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
    return this.#lines.linePos(offset).line;
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

/** Its own message, or that of its last branch: the first is a fixed word. */
function unionMessage(issue: z.core.$ZodIssueInvalidUnion): string {
  return issue.message.startsWith("expected") ? issue.message : (issue.errors.at(-1)?.[0]?.message ?? issue.message);
}

function foundText(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "fields";
  const text = typeof value === "string" ? value : `the ${typeof value} ${String(value)}`;
  if (text === "") return '""';
  return shortText(text);
}
