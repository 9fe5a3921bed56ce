// The TCP listener for monitoring programs and for the live page. Promises: whoever may not ask learns nothing; however
// many clients come and however slowly they read, the proxy keeps a bounded number of connections, each for a bounded
// time or as long as its client reads, and makes one answer at a time for each.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { SapwoodError } from "../../base/errors.ts";
import { descriptorShortage } from "../../base/shortage.ts";
import type { ListenerAddress } from "../../net/listener.ts";
import type { Admission } from "./admission.ts";
import { isPagePath, type ObservationPages, PAGES, Page } from "./pages.ts";

const CONNECTION_MAX = 256;
const DEFAULT_PATIENCE: Patience = { requestMs: 5000, answerMs: 10_000 };
/** How often connections are looked at, in parts of the patience. */
const CHECKS = 5;
const HEADERS_MAX_BYTES = 8192;
/**
 * A browser takes scripts, styles and data from here alone, runs no script inside a page, shows nothing from here
 * inside a page of others, and tells nobody else where it was.
 */
const SECURITY_HEADERS = {
  "content-security-policy": [
    "default-src 'none'",
    ...["script-src", "style-src", "img-src", "connect-src"].map((kind) => `${kind} 'self'`),
    ...["base-uri", "form-action", "frame-ancestors"].map((kind) => `${kind} 'none'`),
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
} as const;

/** How long a client may take. */
interface Patience {
  /** From the connection, or the answer before, to the whole request. */
  readonly requestMs: number;
  /** From the whole request until it has taken the answer. */
  readonly answerMs: number;
}

interface Connection {
  /** Requests that came and are not answered to the end. */
  unanswered: number;
  /** Ends it when no other request comes in time. */
  idle: NodeJS.Timeout | undefined;
}

/** What the listener serves beside the pages for programs. */
export interface ObserveSite {
  /** A file that tells nothing of the node, so that anybody may have it. Undefined when there is none. */
  file(path: string): Page | undefined;
  /** Is asked what those ask who have the token; it may answer by itself, and for as long as it likes. */
  answer(request: IncomingMessage, response: ServerResponse): Page | "answered" | "not mine";
  close(): void;
}

interface ObserveServerOptions {
  readonly listen: ListenerAddress;
  readonly admission: Admission;
  readonly pages: Pick<ObservationPages, "page">;
  readonly site?: ObserveSite | undefined;
  /** Is told of unexpected errors. */
  readonly onFailure: (error: unknown) => void;
  readonly patience?: Patience;
}

export class ObserveServer {
  readonly #server: Server;
  readonly #site: ObserveSite | undefined;
  #closed: Promise<void> | undefined;

  private constructor(server: Server, site: ObserveSite | undefined) {
    this.#server = server;
    this.#site = site;
  }

  /** Throws port-in-use, missing-rights or system-call. */
  static async open(options: ObserveServerOptions): Promise<ObserveServer> {
    const { listen, onFailure, patience = DEFAULT_PATIENCE } = options;
    const limits = {
      requestTimeout: patience.requestMs,
      headersTimeout: patience.requestMs,
      keepAliveTimeout: patience.requestMs,
      connectionsCheckingInterval: patience.requestMs / CHECKS,
      maxHeaderSize: HEADERS_MAX_BYTES,
    };
    const connections = new WeakMap<Socket, Connection>();
    const server = createServer(limits, (request, response) => {
      const { socket } = request;
      const connection = connections.get(socket) ?? { unanswered: 0, idle: undefined };
      connections.set(socket, connection);
      clearTimeout(connection.idle);
      if (connection.unanswered > 1) return void socket.destroy();
      connection.unanswered += 1;
      response.on("close", () => {
        connection.unanswered -= 1;
        clearTimeout(connection.idle);
        // Node's own limit begins anew with each byte, also of what is no request, as empty lines.
        connection.idle = setTimeout(() => socket.destroy(), patience.requestMs).unref();
      });
      if (connection.unanswered > 1) return refusePipelined(request, response);
      const deadline = setTimeout(() => request.socket.destroy(), patience.answerMs);
      response.on("close", () => clearTimeout(deadline));
      const goesOn = () => clearTimeout(deadline);
      answer(options, request, response, goesOn).catch(onFailure);
    });
    server.maxConnections = CONNECTION_MAX;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: listen.address, port: listen.port }, resolve);
    }).catch((error: unknown) => {
      throw listenFailure(error, listen);
    });
    server.removeAllListeners("error").on("error", onFailure);
    return new ObserveServer(server, options.site);
  }

  /** Ends all connections. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#site?.close();
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    return this.#closed;
  }
}

async function answer(
  { admission, pages, site, onFailure }: ObserveServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  goesOn: () => void,
): Promise<void> {
  const { host, origin, authorization } = request.headers;
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
  const strangeness = admission.strangeness({ host, origin });
  if (strangeness !== undefined) return send(request, response, textPage(strangeness.status, strangeness.message));
  const path = (request.url ?? "").split("?")[0] ?? "";
  const isRead = request.method === "GET" || request.method === "HEAD";
  try {
    const file = isRead ? site?.file(path) : undefined;
    if (file !== undefined) return send(request, response, file);
    const refusal = admission.refusal(authorization);
    if (refusal !== undefined) {
      response.setHeader("www-authenticate", "Bearer"); // RFC 9110 section 11.6.1
      return send(request, response, textPage(refusal.status, refusal.message));
    }
    const answered = site?.answer(request, response) ?? "not mine";
    if (answered === "answered") return goesOn();
    if (answered !== "not mine") return send(request, response, answered);
    if (!isRead) {
      response.setHeader("allow", "GET, HEAD");
      return send(request, response, textPage(405, `Everything here takes GET; found ${request.method}.`));
    }
    if (!isPagePath(path)) return send(request, response, textPage(404, `There are ${PAGES.join(", ")}.`));
    send(request, response, await pages.page(path));
  } catch (error) {
    const shortage = descriptorShortage(error);
    if (shortage !== undefined) return send(request, response, textPage(503, shortage.message));
    onFailure(error);
    send(request, response, textPage(500, "The request met an unexpected error; the proxy's log has it."));
  }
}

/**
 * Of answers to requests that come one behind the other (RFC 9112 section 9.3.2) each would wait in memory for its
 * client to read the one before.
 */
function refusePipelined(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("connection", "close");
  send(
    request,
    response,
    textPage(503, "A connection has one request at a time here; this one came before the answer."),
  );
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, body }: Page): void {
  if (!request.complete) response.setHeader("connection", "close"); // its body is not read
  const bytes = Buffer.from(body);
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": bytes.length,
    "cache-control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

function textPage(status: number, message: string): Page {
  return new Page(status, "text/plain; charset=utf-8", `${message}\n`);
}

function listenFailure(error: unknown, { address, port }: ListenerAddress): SapwoodError {
  const found = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
  const isForbidden = found === "EACCES" || found === "EPERM";
  const code = found === "EADDRINUSE" ? "port-in-use" : isForbidden ? "missing-rights" : "system-call";
  const message = `The observation listener needs TCP port ${port} of ${address} (observe.listen), which failed with ${found}.`;
  return new SapwoodError(code, message, { cause: error });
}
