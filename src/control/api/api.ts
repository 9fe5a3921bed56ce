// HTTP over a unix socket: what programs and `sapwood status | flows | policy ...` ask a running proxy.
// Routes, bodies and error codes are described in docs/control-api.md. Every answer is JSON.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { parseDuration } from "../../base/duration.ts";
import { SapwoodError } from "../../base/errors.ts";
import { MODULE_BYTES_MAX } from "../../dataplane/modules/wasm.ts";
import { FLOW_PROTOCOLS } from "../../model/flow-protocols.ts";
import type {
  AppliedReport,
  CountersReport,
  DryRunReport,
  EngineReport,
  ErrorReport,
  FlowQuery,
  FlowsReport,
  InstanceReport,
  KeyReport,
  NodeReport,
  OffloadReport,
  PolicyDetailReport,
  PolicyReport,
  QuestionReport,
  ServiceAddressReport,
  StatusReport,
} from "../../model/reports.ts";
import { OFFLOAD_SWITCHES, type SwitchableOffload } from "../../sys/offload.ts";
import { claimSocketPath, listenOn } from "./control-socket.ts";

export interface ModuleOrder {
  readonly source: string;
  /** Whether to accept what a trial finds fault with, as far as it harms nothing else. */
  readonly isForced: boolean;
}

/** What the routes stand on. Methods may throw a SapwoodError. */
export interface ControlSource {
  status(): StatusReport;
  services(): readonly ServiceAddressReport[];
  instances(): readonly InstanceReport[];
  nodes(): readonly NodeReport[];
  flows(query: FlowQuery): FlowsReport;
  counters(): CountersReport;
  /** Replaces nodes and services by those of a YAML or JSON text, as one generation. */
  applyTables(text: string, allowEmpty: boolean): Promise<AppliedReport>;
  /** Sets and removes some of them and leaves the others as they are, as one generation. */
  mergeTables(text: string, allowEmpty: boolean): Promise<AppliedReport>;
  /** Addresses that are asked for: at once, or as soon as there is one within `waitMs`. */
  questions(waitMs: number): Promise<readonly QuestionReport[]>;
  refuseAddress(address: string): void;
  offloads(): readonly OffloadReport[];
  switchOffload(name: SwitchableOffload, isOn: boolean): void;
  policies(): readonly PolicyReport[];
  policy(name: string): PolicyDetailReport;
  loadPolicy(name: string, module: Uint8Array, options: ModuleOrder): Promise<PolicyDetailReport>;
  dryRunPolicy(name: string, module: Uint8Array, isForced: boolean): Promise<DryRunReport>;
  rollbackPolicy(name: string): Promise<PolicyDetailReport>;
  unloadPolicy(name: string): Promise<void>;
  /** Throws not-found when the underlay is not encrypted, as the next does. */
  key(): KeyReport;
  activateNextKey(): Promise<KeyReport>;
  engine(): EngineReport;
  loadEngine(module: Uint8Array, options: ModuleOrder): Promise<EngineReport>;
  rollbackEngine(): Promise<EngineReport>;
}

export const FLOW_LIMIT_DEFAULT = 100;
export const BODY_MAX_BYTES = 64 * 1024 * 1024;
/** What a module is from unless its request says it. */
export const SOCKET_SOURCE = "control socket";
const SOURCE_LENGTH_MAX = 4096; // of a path (limits.h)
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECTION_MAX = 256;
const QUESTION_WAIT_MAX_MS = 25_000; // below REQUEST_TIMEOUT_MS

interface Route {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string; // NAME_PART in place of a name
  readonly query: readonly string[]; // parameters that it knows
  answer(source: ControlSource, query: URLSearchParams, request: IncomingMessage, name: string): unknown;
}

const NAME_PART = "{name}";

export const ROUTES: readonly Route[] = [
  { method: "GET", path: "/v1/status", query: [], answer: (source) => source.status() },
  { method: "GET", path: "/v1/services", query: [], answer: (source) => source.services() },
  { method: "GET", path: "/v1/instances", query: [], answer: (source) => source.instances() },
  { method: "GET", path: "/v1/nodes", query: [], answer: (source) => source.nodes() },
  {
    method: "GET",
    path: "/v1/flows",
    query: ["limit", "service", "protocol"],
    answer: (source, query) => source.flows(flowQuery(query)),
  },
  { method: "GET", path: "/v1/counters", query: [], answer: (source) => source.counters() },
  {
    method: "POST",
    path: "/v1/tables",
    query: ["allowEmpty"],
    answer: async (source, query, request) => {
      const allowEmpty = flagQuery(query, "allowEmpty");
      return source.applyTables(await readText(request), allowEmpty);
    },
  },
  {
    method: "PATCH",
    path: "/v1/tables",
    query: ["allowEmpty"],
    answer: async (source, query, request) => {
      const allowEmpty = flagQuery(query, "allowEmpty");
      return source.mergeTables(await readText(request), allowEmpty);
    },
  },
  {
    method: "GET",
    path: "/v1/questions",
    query: ["wait"],
    answer: (source, query) => source.questions(waitQuery(query)),
  },
  {
    method: "POST",
    path: "/v1/questions/refuse",
    query: [],
    answer: async (source, _query, request) => {
      source.refuseAddress(refusedAddress(await readText(request)));
      return source.questions(0);
    },
  },
  { method: "GET", path: "/v1/offloads", query: [], answer: (source) => source.offloads() },
  {
    method: "POST",
    path: "/v1/offloads",
    query: [],
    answer: async (source, _query, request) => {
      const { name, isOn } = offloadOrder(await readText(request));
      source.switchOffload(name, isOn);
      return source.offloads();
    },
  },
  { method: "GET", path: "/v1/policies", query: [], answer: (source) => source.policies() },
  {
    method: "GET",
    path: `/v1/policies/${NAME_PART}`,
    query: [],
    answer: (source, _query, _request, name) => source.policy(name),
  },
  {
    method: "PUT",
    path: `/v1/policies/${NAME_PART}`,
    query: ["source", "dryRun", "force"],
    answer: async (source, query, request, name) => {
      const isDryRun = flagQuery(query, "dryRun");
      const order = moduleOrder(query);
      const module = await readBody(request, MODULE_BYTES_MAX);
      return isDryRun ? source.dryRunPolicy(name, module, order.isForced) : source.loadPolicy(name, module, order);
    },
  },
  {
    method: "DELETE",
    path: `/v1/policies/${NAME_PART}`,
    query: [],
    answer: async (source, _query, _request, name) => {
      await source.unloadPolicy(name);
      return source.policies();
    },
  },
  {
    method: "POST",
    path: `/v1/policies/${NAME_PART}/rollback`,
    query: [],
    answer: (source, _query, _request, name) => source.rollbackPolicy(name),
  },
  { method: "GET", path: "/v1/key", query: [], answer: (source) => source.key() },
  { method: "POST", path: "/v1/key/activate", query: [], answer: (source) => source.activateNextKey() },
  { method: "GET", path: "/v1/engine", query: [], answer: (source) => source.engine() },
  {
    method: "PUT",
    path: "/v1/engine",
    query: ["source", "force"],
    answer: async (source, query, request) => {
      const order = moduleOrder(query);
      return source.loadEngine(await readBody(request, MODULE_BYTES_MAX), order);
    },
  },
  { method: "POST", path: "/v1/engine/rollback", query: [], answer: (source) => source.rollbackEngine() },
];

/** The control socket of a running proxy. */
export class ControlApi {
  readonly #server: Server;
  #closed: Promise<void> | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens at `path`; replaces a socket that nobody answers. `onFailure` hears of errors that nobody foresaw. */
  static async listen(path: string, source: ControlSource, onFailure: (error: unknown) => void): Promise<ControlApi> {
    await claimSocketPath(path);
    const server = createServer((request, response) => {
      answer(source, request, response, onFailure).catch(onFailure);
    });
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    server.maxConnections = CONNECTION_MAX;
    await listenOn(server, path);
    server.on("error", onFailure);
    return new ControlApi(server);
  }

  /** Ends all connections and removes the socket. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    return this.#closed;
  }
}

async function answer(
  source: ControlSource,
  request: IncomingMessage,
  response: ServerResponse,
  onFailure: (error: unknown) => void,
): Promise<void> {
  try {
    const [path = "", search = ""] = splitOnce(request.url ?? "", "?");
    const query = new URLSearchParams(search);
    const { route, name } = findRoute(request.method ?? "", path, response);
    requireKnown(query, route);
    send(response, 200, await route.answer(source, query, request, name));
  } catch (error) {
    if (request.destroyed && !request.complete) return; // the client left before it had sent all
    const known = error instanceof SapwoodError;
    if (!known) onFailure(error);
    const body: ErrorReport = known
      ? { error: { code: error.code, message: error.message, details: error.details } }
      : {
          error: {
            code: "internal",
            message: "The request met an unexpected error; the proxy's log has it.",
            details: [],
          },
        };
    // What is left of a refused body is not read: the connection ends with this answer.
    if (!request.complete) response.setHeader("connection", "close");
    send(response, known ? error.httpStatus : new SapwoodError("internal", "").httpStatus, body);
  }
}

interface FoundRoute {
  readonly route: Route;
  readonly name: string; // in the place of NAME_PART
}

function findRoute(method: string, path: string, response: ServerResponse): FoundRoute {
  const candidates = ROUTES.flatMap((route): FoundRoute[] => {
    const name = nameIn(path, route.path);
    return name === undefined ? [] : [{ route, name }];
  });
  if (candidates.length === 0) {
    const paths = [...new Set(ROUTES.map((route) => route.path))].join(", ");
    throw new SapwoodError("not-found", `There is no "${path}"; there are ${paths}.`);
  }
  const found = candidates.find(({ route }) => route.method === method);
  if (found === undefined) {
    const methods = candidates.map(({ route }) => route.method).join(", ");
    response.setHeader("allow", methods); // RFC 9110 section 15.5.6
    throw new SapwoodError("method-not-allowed", `"${path}" takes ${methods}; found ${method}.`);
  }
  return found;
}

/** What stands for NAME_PART, "" when there is none; undefined when the path is another one. */
function nameIn(path: string, routePath: string): string | undefined {
  const [before = "", after] = routePath.split(NAME_PART);
  if (after === undefined) return path === routePath ? "" : undefined;
  if (!path.startsWith(before) || !path.endsWith(after)) return undefined;
  const name = path.slice(before.length, path.length - after.length);
  return /^[\w.-]+$/.test(name) ? name : undefined;
}

/** A misspelt filter would otherwise select everything. */
function requireKnown(query: URLSearchParams, route: Route): void {
  for (const name of query.keys()) {
    if (route.query.includes(name)) continue;
    const expected = route.query.length === 0 ? "no parameters" : route.query.join(", ");
    throw new SapwoodError("usage", `"${route.path}" takes ${expected}; found "${name}".`);
  }
}

function flowQuery(query: URLSearchParams): FlowQuery {
  const limitText = query.get("limit") ?? String(FLOW_LIMIT_DEFAULT);
  const limit = Number(limitText);
  if (!/^[0-9]+$/.test(limitText) || !Number.isSafeInteger(limit) || limit < 1) {
    throw new SapwoodError("usage", `"limit" must be a whole number of 1 or more; found "${limitText}".`);
  }
  const protocolText = query.get("protocol");
  const protocol = FLOW_PROTOCOLS.find((name) => name === protocolText);
  if (protocolText !== null && protocol === undefined) {
    throw new SapwoodError("usage", `"protocol" must be one of ${FLOW_PROTOCOLS.join(", ")}; found "${protocolText}".`);
  }
  return { limit, protocol, service: query.get("service") ?? undefined };
}

function flagQuery(query: URLSearchParams, name: string): boolean {
  const value = query.get(name) ?? "false";
  if (value === "true" || value === "false") return value === "true";
  throw new SapwoodError("usage", `"${name}" must be true or false; found "${value}".`);
}

function moduleOrder(query: URLSearchParams): ModuleOrder {
  return { source: sourceQuery(query), isForced: flagQuery(query, "force") };
}

/** Where a module is from: told, not trusted. */
function sourceQuery(query: URLSearchParams): string {
  const source = query.get("source") ?? SOCKET_SOURCE;
  if (source.length > 0 && source.length <= SOURCE_LENGTH_MAX && !/\p{Cc}/u.test(source)) return source;
  throw new SapwoodError("usage", `"source" must be 1 to ${SOURCE_LENGTH_MAX} printable characters.`);
}

function waitQuery(query: URLSearchParams): number {
  const text = query.get("wait") ?? "0";
  const waitMs = parseDuration(text);
  if (waitMs !== undefined && waitMs <= QUESTION_WAIT_MAX_MS) return waitMs;
  throw new SapwoodError("usage", `"wait" must be a duration of at most ${QUESTION_WAIT_MAX_MS}ms; found "${text}".`);
}

function refusedAddress(text: string): string {
  const { address } = jsonFields(text);
  if (typeof address === "string") return address;
  throw new SapwoodError("usage", `"address" must be an IPv4 or IPv6 address; found ${JSON.stringify(address)}.`);
}

/** The fields of a JSON object; none of anything else. */
function jsonFields(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text)) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}

function offloadOrder(text: string): { readonly name: SwitchableOffload; readonly isOn: boolean } {
  const { name: asked, on: isOn } = jsonFields(text);
  const name = OFFLOAD_SWITCHES.find((known) => known === asked);
  if (name === undefined) {
    const expected = OFFLOAD_SWITCHES.map((known) => `"${known}"`).join(", ");
    throw new SapwoodError("usage", `"name" must be one of ${expected}; found ${JSON.stringify(asked)}.`);
  }
  if (typeof isOn !== "boolean") {
    throw new SapwoodError("usage", `"on" must be true or false; found ${JSON.stringify(isOn)}.`);
  }
  return { name, isOn };
}

async function readText(request: IncomingMessage): Promise<string> {
  const body = await readBody(request, BODY_MAX_BYTES);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new SapwoodError("tables-invalid", "The body must be YAML or JSON in UTF-8; found bytes that are no UTF-8.");
  }
}

async function readBody(request: IncomingMessage, mostBytes: number): Promise<Uint8Array> {
  const tooLarge = () =>
    new SapwoodError("body-too-large", `A body may have at most ${mostBytes} bytes here; this one has more.`);
  if (Number(request.headers["content-length"] ?? 0) > mostBytes) throw tooLarge();
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  // Not "for await": leaving it early destroys the connection, and with it the answer that says why.
  await new Promise<void>((resolve, reject) => {
    request.on("data", (part: Buffer) => {
      sizeBytes += part.length;
      if (sizeBytes > mostBytes) {
        request.pause();
        request.removeAllListeners("data");
        reject(tooLarge());
      } else {
        parts.push(part);
      }
    });
    request.on("end", resolve);
    request.on("error", reject);
  });
  return Buffer.concat(parts);
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
  response.end(bytes);
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
