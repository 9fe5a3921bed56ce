// A route of the control socket, written once: its place, what it takes, what it answers, and who answers it. The
// server (api.ts) checks requests by it, and the description (openapi.ts) is made from it.

import * as z from "zod";
import { SapwoodError } from "../../base/errors.ts";
import { valueText } from "../../base/issues.ts";
import type { WrittenText } from "../config/text-reader.ts";
import type { Changed } from "./change-gate.ts";

/** The place of a name in a path. */
export const NAME_PART = "{name}";

/** A body as it is handed to the route: bytes, text in UTF-8 of any length, or what a schema makes of JSON. */
export type RouteBody =
  | { readonly type: "application/wasm"; readonly mostBytes: number }
  | { readonly type: "application/yaml"; readonly mostBytes: number }
  | { readonly type: "application/json"; readonly mostBytes: number; readonly schema: z.ZodType };

type BodyOf<Body> = Body extends { readonly schema: infer Schema extends z.ZodType }
  ? z.infer<Schema>
  : Body extends { readonly type: "application/wasm" }
    ? Uint8Array
    : Body extends { readonly type: "application/yaml" }
      ? WrittenText
      : undefined;

interface RouteDefinition<Parts, Query extends z.ZodObject, Body extends RouteBody | undefined> {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With at most one NAME_PART. */
  readonly path: string;
  /** What it does, for the description. */
  readonly summary: string;
  /** Parameters that it knows; none unless given. The error of each says what is expected of it. */
  readonly query?: Query;
  readonly body?: Body;
  /** Registered in REPORTS. */
  readonly answers: z.ZodType;
  /** What it changes that a process that takes over has to know of. */
  readonly changes?: Changed;
  /** Of the answer, when it is no JSON. */
  readonly media?: string;
  /** May throw a SapwoodError. */
  handle(
    parts: Parts,
    request: { readonly query: z.infer<Query>; readonly name: string; readonly body: BodyOf<Body> },
  ): unknown;
}

/** A route that stands on `Parts` of the proxy, whatever it takes. */
export interface Route<Parts>
  extends Omit<RouteDefinition<Parts, z.ZodObject, RouteBody | undefined>, "query" | "handle"> {
  readonly query: z.ZodObject;
  handle(parts: Parts, request: { readonly query: unknown; readonly name: string; readonly body: unknown }): unknown;
}

/** An answer that is JSON already, in pieces: each is made when the client has taken those before. */
export class JsonText {
  readonly pieces: Iterable<string>;

  constructor(pieces: Iterable<string>) {
    this.pieces = pieces;
  }
}

const NO_PARAMETERS = z.strictObject({});

/** `routesOn<Parts>()({...})` is a route whose `handle` knows the types of what it takes. */
export function routesOn<Parts>() {
  return <Query extends z.ZodObject = typeof NO_PARAMETERS, Body extends RouteBody | undefined = undefined>(
    definition: RouteDefinition<Parts, Query, Body>,
  ): Route<Parts> => ({ query: NO_PARAMETERS, ...definition }) as Route<Parts>;
}

/** A parameter that is `true` or `false`; false when it is not given. */
export const flag = z
  .enum(["true", "false"], { error: "true or false" })
  .default("false")
  .transform((text) => text === "true");

/**
 * The parameters of a request as the route's schema makes them. A misspelt filter would otherwise select everything.
 */
export function queryOf<Query extends z.ZodObject>(
  route: { readonly path: string; readonly query: Query },
  search: URLSearchParams,
): z.infer<Query> {
  const known = Object.keys(route.query.shape);
  for (const name of search.keys()) {
    if (!known.includes(name)) {
      const expected = known.length === 0 ? "no parameters" : known.join(", ");
      throw new SapwoodError("usage", `"${route.path}" takes ${expected}; found "${name}".`);
    }
    if (search.getAll(name).length > 1)
      throw new SapwoodError("usage", `"${name}" must be given once; found it twice.`);
  }
  return checked(route.query, Object.fromEntries(search));
}

/** What the schema of a JSON body makes of a text; a text that is no JSON object has no fields. */
export function jsonOf(schema: z.ZodType, text: string): unknown {
  return checked(schema, fieldsOf(text));
}

function fieldsOf(text: string): unknown {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

function checked<Schema extends z.ZodType>(schema: Schema, value: object | unknown): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = String(issue?.path[0] ?? "");
  const found = Object.entries(Object(value)).find(([name]) => name === field)?.[1];
  throw new SapwoodError("usage", `"${field}" must be ${issue?.message}; found ${valueText(found)}.`);
}
