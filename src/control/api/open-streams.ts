// The answers of a server that go on. When the server closes they end as whole answers, as far as their clients read.

import type { ServerResponse } from "node:http";

/** For a client that does not read, the server does not wait longer. */
const END_LIMIT_MS = 5000;

export class OpenStreams {
  readonly #ends = new Map<ServerResponse, () => void>();

  /** `end` has the source write what is left, and end the answer. */
  add(response: ServerResponse, end: () => void): void {
    this.#ends.set(response, end);
    response.on("close", () => this.#ends.delete(response));
  }

  /** Resolves when all clients have everything, or after five seconds. */
  async endAll(): Promise<void> {
    let limit: NodeJS.Timeout | undefined;
    const limited = new Promise<void>((resolve) => {
      limit = setTimeout(resolve, END_LIMIT_MS);
    });
    const ended = [...this.#ends].map(([response, end]) => {
      const closed = new Promise<void>((resolve) => void response.on("finish", resolve).on("close", resolve));
      end();
      return closed;
    });
    await Promise.race([Promise.all(ended), limited]);
    clearTimeout(limit);
  }
}
