// The OpenAPI description of the control socket, made from the routes and the schemas of their answers.

import * as z from "zod";
import { REPORTS } from "../../model/report-schema.ts";
import { ErrorReport } from "../../model/reports.ts";
import { NAME_PART, type Route, type RouteBody } from "./route.ts";

type Json = Readonly<Record<string, unknown>>;

/** An OpenAPI 3.1 document (its schemas are those of JSON Schema 2020-12). */
export function describeRoutes(routes: readonly Route<never>[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: describeRoute(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "sapwood control socket",
      description: "HTTP over a unix socket. New fields may be added within /v1; none is renamed or removed.",
      version: "1",
    },
    paths,
    components: { schemas: componentSchemas() },
  };
}

function describeRoute({ path, summary, query, body, answers, media = "application/json" }: Route<never>): Json {
  return {
    summary,
    parameters: [...(path.includes(NAME_PART) ? [nameParameter()] : []), ...queryParameters(query)],
    ...(body && { requestBody: { required: true, content: { [body.type]: { schema: bodySchema(body) } } } }),
    responses: {
      200: { description: "done", content: { [media]: { schema: reference(answers) } } },
      default: { description: "refused", content: { "application/json": { schema: reference(ErrorReport) } } },
    },
  };
}

function nameParameter(): Json {
  return { name: "name", in: "path", required: true, schema: { type: "string" } };
}

function queryParameters(query: z.ZodObject): Json[] {
  const { properties = {} } = z.toJSONSchema(query, { io: "input" });
  return Object.entries(properties).map(([name, schema]) => ({ name, in: "query", required: false, schema }));
}

function bodySchema(body: RouteBody): unknown {
  if (body.type === "application/json") return withoutDialect(z.toJSONSchema(body.schema, { io: "input" }));
  return body.type === "application/wasm" ? { type: "string", format: "binary" } : { type: "string" };
}

/** To a named schema, or to one of several. */
function reference(schema: z.ZodType): Json {
  if (schema instanceof z.ZodUnion) return { anyOf: schema.options.map((each) => reference(each as z.ZodType)) };
  const id = REPORTS.get(schema)?.id;
  if (id === undefined) throw new RangeError("the schema of an answer has no name in REPORTS");
  return { $ref: placeOf(id) };
}

/** By name: the order in which modules are loaded says nothing. */
function componentSchemas(): Json {
  const { schemas } = z.toJSONSchema(REPORTS, {
    uri: placeOf,
    // A client has to bear fields that it does not know.
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  const named = Object.entries(schemas).map(([id, schema]) => [id, withoutDialect(schema)] as const);
  return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function placeOf(id: string): string {
  return `#/components/schemas/${id}`;
}

/** The document as a whole says which dialect its schemas are of, and where each is. */
function withoutDialect({ $schema: _dialect, $id: _place, id: _name, ...schema }: Json): Json {
  return schema;
}
