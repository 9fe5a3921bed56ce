// An answer of bytes that goes on until its source ends it or the client leaves. A client that does not read costs its
// source what it says is waiting; one that has taken nothing for long is cut off, so that it holds no place for ever.

import type { ServerResponse } from "node:http";

const STALL_LIMIT_MS = 30_000;

/** Where a source writes. */
export interface ByteSink {
  write(bytes: Uint8Array): void;
  /** Bytes that the client has not taken. */
  readonly waiting: number;
  end(): void;
}

export class ByteStream {
  readonly contentType: string;
  /** Begins to write; calls of the function that it returns end that. */
  readonly start: (sink: ByteSink) => () => void;

  constructor(contentType: string, start: ByteStream["start"]) {
    this.contentType = contentType;
    this.start = start;
  }
}

/** Ends the answer when the function that it returns is called. */
export function sendStream(response: ServerResponse, stream: ByteStream): () => void {
  response.writeHead(200, { "content-type": stream.contentType, "cache-control": "no-store" });
  response.flushHeaders();
  let untaken = 0; // writes
  let stalled: NodeJS.Timeout | undefined;
  // A slow client takes one write after the other, and may never have taken all of them.
  const taken = (): void => {
    untaken -= 1;
    clearTimeout(stalled);
    stalled = untaken === 0 || response.destroyed ? undefined : cutOff();
  };
  const cutOff = (): NodeJS.Timeout => setTimeout(() => response.destroy(), STALL_LIMIT_MS);
  const stop = stream.start({
    write(bytes) {
      if (response.destroyed || response.writableEnded) return;
      untaken += 1;
      stalled ??= cutOff();
      response.write(bytes, taken);
    },
    get waiting() {
      return response.writableLength;
    },
    end: () => response.end(),
  });
  response.on("close", () => {
    clearTimeout(stalled);
    stop();
  });
  return stop;
}
