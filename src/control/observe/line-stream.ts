// An answer that goes on: one JSON value a line, until the client leaves. One that does not read is cut off, so that it
// holds neither memory nor a place for ever.

import type { ServerResponse } from "node:http";

/** What waits for a client that does not read. */
const WAITING_MAX_BYTES = 1_048_576;

export class LineStream {
  /** Begins to write lines; calls of the function that it returns end that. */
  readonly start: (write: (line: unknown) => void) => () => void;

  constructor(start: LineStream["start"]) {
    this.start = start;
  }
}

/** Ends the answer when the function that it returns is called. */
export function sendLines(response: ServerResponse, stream: LineStream): () => void {
  response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
  response.flushHeaders();
  const stop = stream.start((line) => {
    if (response.destroyed || response.writableEnded) return;
    response.write(`${JSON.stringify(line)}\n`);
    if (response.writableLength > WAITING_MAX_BYTES) response.destroy();
  });
  response.on("close", stop);
  return () => response.end();
}
