// The live page as the observation listener serves it: its files, its stream, and, where the listener asks for a token,
// orders to the proxy, which the control socket's own routes take.

import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { SapwoodError } from "../../base/errors.ts";
import { queryOf } from "../api/route.ts";
import type { ObserveSite } from "../observe/observe-server.ts";
import { Page } from "../observe/pages.ts";
import { PageFiles } from "./page-files.ts";
import { STREAM_PARAMETERS } from "./page-query.ts";
import type { PageSource } from "./page-source.ts";
import { CLIENTS_MAX, PageStream } from "./page-stream.ts";

const STREAM_PATH = "/page/stream";
const STREAM = { path: STREAM_PATH, query: STREAM_PARAMETERS };
const ORDERS_PATH = "/v1/";
const RETRY_SECONDS = "30";

interface PageSiteOptions {
  readonly source: PageSource;
  /** Takes orders; undefined: the page only reads. */
  readonly orders: RequestListener | undefined;
  /** Is told of unexpected errors. */
  readonly onFailure: (error: unknown) => void;
}

export class PageSite implements ObserveSite {
  readonly #orders: RequestListener | undefined;
  readonly #files = new PageFiles();
  readonly #stream: PageStream;

  constructor({ orders, ...options }: PageSiteOptions) {
    this.#orders = orders;
    this.#stream = new PageStream({ ...options, takesOrders: orders !== undefined });
  }

  file(path: string): Page | undefined {
    return this.#files.file(path);
  }

  answer(request: IncomingMessage, response: ServerResponse): Page | "answered" | "not mine" {
    const [path = "", search = ""] = (request.url ?? "").split("?", 2);
    if (path === STREAM_PATH && request.method === "GET") return this.#follow(request, search, response);
    if (!path.startsWith(ORDERS_PATH) || this.#orders === undefined) return "not mine";
    this.#orders(request, response);
    return "answered";
  }

  close(): void {
    this.#stream.close();
  }

  #follow({ headers }: IncomingMessage, search: string, response: ServerResponse): Page | "answered" {
    const site = headers["sec-fetch-site"] ?? "none"; // an image of another page has no Origin, but this (W3C Fetch Metadata)
    if (site !== "none" && site !== "same-origin") return refusal(403, "Only this node's own page may follow it.");
    if (!this.#stream.hasRoom) {
      response.setHeader("retry-after", RETRY_SECONDS);
      return refusal(503, `At most ${CLIENTS_MAX} may look at the page of a node at once, and so many do.`);
    }
    try {
      const { since, ...query } = queryOf(STREAM, new URLSearchParams(search));
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      this.#stream.add(response, query, since);
      return "answered";
    } catch (error) {
      if (error instanceof SapwoodError) return refusal(400, error.message);
      throw error;
    }
  }
}

function refusal(status: number, message: string): Page {
  return new Page(status, "text/plain; charset=utf-8", `${message}\n`);
}
