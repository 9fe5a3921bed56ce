// A YAML text checked against a schema, with a line for each thing that is wrong: all of them at once, one per line,
// as "file:line: field: expected ..., found ...".

import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node as YamlNode } from "yaml";
import type { z } from "zod";
import { SapwoodError } from "../errors.ts";
import { closestName, type FieldPath, fieldName, type Issue, joinLines } from "./issues.ts";

const FOUND_LENGTH_MAX = 60;

export class ConfigDocument {
  readonly #fileName: string;
  readonly #lines = new LineCounter();
  readonly #yaml: string;
  readonly #value: unknown;
  #parsed: ReturnType<typeof parseDocument> | undefined;

  /** Throws config-invalid when the text is no YAML. */
  constructor(yaml: string, fileName: string) {
    this.#fileName = fileName;
    this.#yaml = yaml;
    const json = parseJson(yaml);
    if (json !== undefined) {
      this.#value = json;
      return;
    }
    const { errors } = this.#document;
    if (errors.length > 0) {
      const lines = errors.map(({ pos, message }) => `${fileName}:${this.#lines.linePos(pos[0]).line}: ${message}`);
      throw new SapwoodError("config-invalid", joinLines(lines));
    }
    try {
      this.#value = this.#document.toJS();
    } catch (error) {
      // Aliases without an anchor, or so many of them that the text would explode.
      throw new SapwoodError("config-invalid", `${fileName}:1: ${String(error)}`, { cause: error });
    }
  }

  /** The content as the schema has it; throws config-invalid with everything that is wrong. */
  parse<Schema extends z.ZodType>(schema: Schema): z.output<Schema> {
    const result = schema.safeParse(this.#value);
    if (result.success) return result.data;
    throw this.refusal(result.error.issues.flatMap((issue) => this.#translate(issue)));
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
  get #document(): ReturnType<typeof parseDocument> {
    this.#parsed ??= parseDocument(this.#yaml, { lineCounter: this.#lines, prettyErrors: false });
    return this.#parsed;
  }

  #translate(issue: z.core.$ZodIssue): Issue[] {
    const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
    if (issue.code === "unrecognized_keys") {
      const known = issue.message.split(", ");
      return issue.keys.map((key) => {
        const meant = closestName(key, known);
        const hint = meant === undefined ? "" : ` (did you mean ${meant}?)`;
        return { path: [...path, key], message: `expected one of ${issue.message}, found ${key}${hint}` };
      });
    }
    if (issue.code === "invalid_key") {
      return [{ path, message: `${issue.issues[0]?.message ?? issue.message}, found ${String(path.at(-1))}` }];
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
    let node = this.#resolved(this.#document.contents);
    let offset = node?.range?.[0] ?? 0;
    for (const part of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(part));
        if (pair === undefined) break;
        const key = pair.key as YamlNode | null;
        offset = key?.range?.[0] ?? offset;
        node = this.#resolved(pair.value);
      } else if (isSeq(node) && typeof part === "number" && node.items[part] !== undefined) {
        node = this.#resolved(node.items[part]);
        offset = node?.range?.[0] ?? offset;
      } else {
        break;
      }
    }
    return this.#lines.linePos(offset).line;
  }

  #resolved(node: unknown): YamlNode | undefined {
    if (isAlias(node)) return node.resolve(this.#document);
    return isMap(node) || isSeq(node) || isScalar(node) ? node : undefined;
  }
}

/** JSON is YAML, too, but read several times as fast: it is what programs write, with very many services perhaps. */
function parseJson(text: string): unknown {
  if (!text.trimStart().startsWith("{")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // YAML in braces, or an error for which YAML has a line
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
  return text.length > FOUND_LENGTH_MAX ? `${text.slice(0, FOUND_LENGTH_MAX)}...` : text;
}
