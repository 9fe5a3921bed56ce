// The TCP listener for monitoring programs. Read-only. Promises: whoever may not ask learns nothing; however many
// clients come and however slowly they read, the proxy keeps a bounded number of connections, each for a bounded time.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { SapwoodError } from "../../base/errors.ts";
import type { ListenerAddress } from "../../net/listener.ts";
import type { Admission } from "./admission.ts";
import { isPagePath, type ObservationPages, PAGES, Page } from "./pages.ts";

const CONNECTION_MAX = 64;
const DEFAULT_PATIENCE: Patience = { requestMs: 5000, answerMs: 10_000 };
/** How often connections are looked at, in parts of the patience. */
const CHECKS = 5;
const HEADERS_MAX_BYTES = 8192;

/** How long a client may take. */
interface Patience {
  /** From the connection, or the answer before, to the whole request. */
  readonly requestMs: number;
  /** From the whole request until it has taken the answer. */
  readonly answerMs: number;
}

interface ObserveServerOptions {
  readonly listen: ListenerAddress;
  readonly admission: Admission;
  readonly pages: Pick<ObservationPages, "page">;
  /** Is told of unexpected errors. */
  readonly onFailure: (error: unknown) => void;
  readonly patience?: Patience;
}

export class ObserveServer {
  readonly #server: Server;
  #closed: Promise<void> | undefined;

  private constructor(server: Server) {
    this.#server = server;
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
    const server = createServer(limits, (request, response) => {
      const deadline = setTimeout(() => request.socket.destroy(), patience.answerMs);
      response.on("close", () => clearTimeout(deadline));
      answer(options, request, response).catch(onFailure);
    });
    server.maxConnections = CONNECTION_MAX;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: listen.address, port: listen.port }, resolve);
    }).catch((error: unknown) => {
      throw listenFailure(error, listen);
    });
    server.removeAllListeners("error").on("error", onFailure);
    return new ObserveServer(server);
  }

  /** Ends all connections. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    return this.#closed;
  }
}

async function answer(
  { admission, pages, onFailure }: ObserveServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { host, authorization } = request.headers;
  const refusal = admission.refusal({ host, authorization });
  if (refusal !== undefined) {
    if (refusal.status === 401) response.setHeader("www-authenticate", "Bearer"); // RFC 9110 section 11.6.1
    return send(request, response, textPage(refusal.status, refusal.message));
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return send(request, response, textPage(405, `Everything here takes GET; found ${request.method}.`));
  }
  const path = (request.url ?? "").split("?")[0] ?? "";
  if (!isPagePath(path)) return send(request, response, textPage(404, `There are ${PAGES.join(", ")}.`));
  try {
    send(request, response, await pages.page(path));
  } catch (error) {
    onFailure(error);
    send(request, response, textPage(500, "The request met an unexpected error; the proxy's log has it."));
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, body }: Page): void {
  if (!request.complete) response.setHeader("connection", "close"); // its body is not read
  const bytes = Buffer.from(body);
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": bytes.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
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
