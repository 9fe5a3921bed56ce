// HTTP over a unix socket: what programs and `sapwood status | flows | policy ...` ask a running proxy.
// Routes, bodies and error codes are described in docs/control-api.md. Every answer is JSON.

import type { RequestListener, Server, ServerResponse } from "node:http";
import { ReadableStream } from "node:stream/web";
import { setImmediate } from "node:timers/promises";
import { createAdaptorServer, getRequestListener, type HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { type Context, Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { httpStatusOf, SapwoodError } from "../../base/errors.ts";
import { descriptorShortage } from "../../base/shortage.ts";
import { canonicalName } from "../../model/names.ts";
import type { ErrorReport } from "../../model/reports.ts";
import { ByteStream, sendStream } from "../observe/byte-stream.ts";
import { LineStream, sendLines } from "../observe/line-stream.ts";
import { Page } from "../observe/pages.ts";
import { claimSocketPath, listenOn } from "./control-socket.ts";
import { OpenStreams } from "./open-streams.ts";
import { describeRoutes } from "./openapi.ts";
import { readBytes, readText, receiveBody } from "./request-body.ts";
import { JsonText, jsonOf, NAME_PART, queryOf, type Route, type RouteBody } from "./route.ts";
import { MODULE_ROUTES, type ModuleParts } from "./routes/modules.ts";
import { NODE_ROUTES, type NodeParts } from "./routes/node.ts";
import { OBSERVATION_ROUTES, type ObservationParts } from "./routes/observation.ts";
import { STATUS_ROUTES, type StatusParts } from "./routes/status.ts";
import { TABLE_ROUTES, type TableParts } from "./routes/tables.ts";

/** The parts of the proxy that the routes use. */
export interface ControlParts extends StatusParts, ObservationParts, TableParts, NodeParts, ModuleParts {}

export const ROUTES: readonly Route<ControlParts>[] = [
  ...STATUS_ROUTES,
  ...OBSERVATION_ROUTES,
  ...TABLE_ROUTES,
  ...NODE_ROUTES,
  ...MODULE_ROUTES,
];
/** Those by which a person on the live page changes something. */
const ORDERS = ["PUT /v1/policies/{name}", "POST /v1/policies/{name}/rollback", "POST /v1/drain"];
/** Where the description of the routes is. */
const OPENAPI_PATH = "/v1/openapi.json";

const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTION_MAX = 256;
/** Of requests without a Host field, as HTTP/1.0 allows them. */
const HOSTNAME = "sapwood";

const ADAPTER = {
  hostname: HOSTNAME,
  autoCleanupIncoming: false, // what is left of a refused body is not read
  overrideGlobalObjects: false,
};

type App = Hono<{ Bindings: HttpBindings }>;
type RequestContext = Context<{ Bindings: HttpBindings }>;

/** The control socket of a running proxy. */
export class ControlApi {
  readonly #server: Server;
  readonly #streams: OpenStreams;
  #closed: Promise<void> | undefined;

  private constructor(server: Server, streams: OpenStreams) {
    this.#server = server;
    this.#streams = streams;
  }

  /** Listens at `path`; replaces a socket that nobody answers. `onFailure` is told of unexpected errors. */
  static async listen(path: string, parts: ControlParts, onFailure: (error: unknown) => void): Promise<ControlApi> {
    await claimSocketPath(path);
    const streams = new OpenStreams();
    const { fetch } = controlApp(ROUTES, parts, streams, onFailure);
    const server = createAdaptorServer({ fetch, ...ADAPTER }) as Server;
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    server.maxConnections = CONNECTION_MAX;
    await listenOn(server, path);
    server.on("error", onFailure);
    return new ControlApi(server, streams);
  }

  /** Ends all answers and connections, and removes the socket. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    await this.#streams.endAll();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** The routes of the control socket by which the live page gives orders, for a server that knows who may. */
export function orderListener(parts: ControlParts, onFailure: (error: unknown) => void): RequestListener {
  const routes = ROUTES.filter(({ method, path }) => ORDERS.includes(`${method} ${path}`));
  const { fetch } = controlApp(routes, parts, new OpenStreams(), onFailure);
  return getRequestListener(fetch, ADAPTER);
}

function controlApp(
  routes: readonly Route<ControlParts>[],
  parts: ControlParts,
  streams: OpenStreams,
  onFailure: (error: unknown) => void,
): App {
  const app: App = new Hono();
  for (const route of routes) {
    app.on(route.method, honoPath(route.path), async (context) => {
      const query = queryOf(route, new URL(context.req.url).searchParams);
      const body = await bodyOf(route.body, context);
      const handle = () => route.handle(parts, { query, name: nameOf(context), body });
      const { changes } = route;
      return answer(context, streams, await (changes === undefined ? handle() : parts.changes.run(changes, handle)));
    });
  }
  app.get(OPENAPI_PATH, (context) => context.json(describeRoutes(routes)));
  for (const path of new Set(routes.map((route) => route.path))) {
    app.all(honoPath(path), (context) => {
      const methods = routes.filter((route) => route.path === path).map(({ method }) => method);
      context.header("allow", methods.join(", ")); // RFC 9110 section 15.5.6
      const found = `"${context.req.path}" takes ${methods.join(", ")}; found ${context.req.method}.`;
      return refuse(context, new SapwoodError("method-not-allowed", found));
    });
  }
  app.notFound((context) => {
    const paths = [...new Set(routes.map(({ path }) => path)), OPENAPI_PATH].join(", ");
    return refuse(context, new SapwoodError("not-found", `There is no "${context.req.path}"; there are ${paths}.`));
  });
  app.onError((thrown, context) => {
    const error = descriptorShortage(thrown) ?? thrown;
    const { incoming } = context.env;
    const hasLeft = incoming.destroyed && !incoming.complete; // the client, before it had sent all
    if (!hasLeft && !(error instanceof SapwoodError)) onFailure(error);
    return refuse(context, error);
  });
  return app;
}

function answer(context: RequestContext, streams: OpenStreams, answered: unknown): Response {
  const response = context.env.outgoing as ServerResponse;
  if (answered instanceof LineStream) {
    streams.add(response, sendLines(response, answered));
    return RESPONSE_ALREADY_SENT;
  }
  if (answered instanceof ByteStream) {
    streams.add(response, sendStream(response, answered));
    return RESPONSE_ALREADY_SENT;
  }
  if (answered instanceof JsonText) {
    return context.body(streamOf(answered.pieces), { headers: { "content-type": "application/json" } });
  }
  if (!(answered instanceof Page)) return context.json(answered);
  const { body, status, contentType } = answered;
  return context.body(body, status as ContentfulStatusCode, { "content-type": contentType });
}

/** `{name}` of a path as the library writes it: one segment. */
function honoPath(path: string): string {
  return path.replace(NAME_PART, ":name");
}

/** In the place of NAME_PART; the library has decoded it. */
function nameOf(context: RequestContext): string {
  return canonicalName(context.req.param("name") ?? "");
}

/** The event loop has its turn between two pieces. */
function streamOf(pieces: Iterable<string>): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.iterator]();
  return new ReadableStream({
    async pull(controller) {
      await setImmediate();
      const { done, value } = iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(Buffer.from(value));
    },
    cancel() {
      iterator.return?.();
    },
  });
}

async function bodyOf(body: RouteBody | undefined, context: RequestContext): Promise<unknown> {
  if (body === undefined) return undefined;
  const { incoming } = context.env;
  if (body.type === "application/wasm") return readBytes(incoming, body.mostBytes);
  if (body.type === "application/yaml") return receiveBody(incoming, body.mostBytes);
  return jsonOf(body.schema, await readText(incoming, body.mostBytes));
}

function refuse(context: RequestContext, error: unknown): Response {
  const known = error instanceof SapwoodError ? error : undefined;
  const code = known?.code ?? "internal";
  const message = known?.message ?? "The request met an unexpected error; the proxy's log has it.";
  const body: ErrorReport = { error: { code, message, details: known?.details ?? [] } };
  // The connection ends with this answer, because the rest of the body would be taken for the next request.
  if (!context.env.incoming.complete) context.header("connection", "close");
  return context.json(body, httpStatusOf(code) as ContentfulStatusCode);
}
