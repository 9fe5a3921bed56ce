// An answer of bytes that goes on until its source ends it or the client leaves. A client that does not read costs its
// source what it says is waiting; one that has not read for long is cut off, so that it holds no place for ever.

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

export function sendStream(response: ServerResponse, stream: ByteStream): void {
  response.writeHead(200, { "content-type": stream.contentType, "cache-control": "no-store" });
  response.flushHeaders();
  let stalled: NodeJS.Timeout | undefined;
  const flowing = (): void => {
    clearTimeout(stalled);
    stalled = undefined;
  };
  const stop = stream.start({
    write(bytes) {
      if (response.destroyed || response.write(bytes)) return;
      stalled ??= setTimeout(() => response.destroy(), STALL_LIMIT_MS);
    },
    get waiting() {
      return response.writableLength;
    },
    end: () => response.end(),
  });
  response.on("drain", flowing);
  response.on("close", () => {
    flowing();
    stop();
  });
}
