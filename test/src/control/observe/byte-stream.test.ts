// Answers that go on: who reads slowly keeps his, who reads nothing loses it, and a closing server ends them as whole.
import { once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { OpenStreams } from "../../../../src/control/api/open-streams.ts";
import { type ByteSink, ByteStream, sendStream } from "../../../../src/control/observe/byte-stream.ts";
import { LineStream, sendLines } from "../../../../src/control/observe/line-stream.ts";
import { given } from "../../../support/given.ts";

describe("a client", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** An answer whose client takes a write when the test says so. */
  function open() {
    const waiting: (() => void)[] = [];
    const response = {
      destroyed: false,
      writableEnded: false,
      writableLength: 0,
      writeHead: () => undefined,
      flushHeaders: () => undefined,
      write: (_: Uint8Array, taken: () => void) => waiting.push(taken),
      end: () => undefined,
      on: () => undefined,
      destroy: () => {
        response.destroyed = true;
      },
    };
    let sink: ByteSink | undefined;
    const start = (given: ByteSink): (() => void) => {
      sink = given;
      return () => undefined;
    };
    sendStream(response as unknown as ServerResponse, new ByteStream("text/plain", start));
    return { response, sink: given(sink), take: () => given(waiting.shift())() };
  }
  const piece = Uint8Array.of(1);

  test("that takes one write after the other is not cut off, though it never has all", () => {
    const { response, sink, take } = open();
    sink.write(piece);
    for (let round = 0; round < 10; round++) {
      sink.write(piece);
      vi.advanceTimersByTime(20_000);
      take();
    }
    expect(response.destroyed).toBe(false);
  });

  test("that takes nothing for 30 seconds is cut off", () => {
    const { response, sink, take } = open();
    sink.write(piece);
    sink.write(piece);
    take();
    vi.advanceTimersByTime(29_999);
    sink.write(piece);
    expect(response.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(response.destroyed).toBe(true);
  });

  test("that has everything is not waited for", () => {
    const { response, sink, take } = open();
    sink.write(piece);
    take();
    vi.advanceTimersByTime(100_000);
    expect(response.destroyed).toBe(false);
  });
});

test("a closing server has all sources write what is left, and ends the answers as whole ones", async () => {
  const streams = new OpenStreams();
  const bytes = new ByteStream("text/plain", (sink) => {
    sink.write(Buffer.from("first, "));
    return () => {
      sink.write(Buffer.from("last"));
      sink.end();
    };
  });
  const lines = new LineStream((write) => {
    write({ line: 1 });
    return () => undefined;
  });
  const server = createServer(({ url }, response) => {
    streams.add(response, url === "/bytes" ? sendStream(response, bytes) : sendLines(response, lines));
  });
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  const ask = async (path: string): Promise<IncomingMessage> => {
    const [answered] = await once(get({ port, path, agent: false }), "response");
    return answered as IncomingMessage;
  };
  const answers = await Promise.all([ask("/bytes"), ask("/lines")]);
  await streams.endAll();
  const texts = await Promise.all(answers.map(async (answered) => Buffer.concat(await answered.toArray()).toString()));
  expect(texts).toEqual(["first, last", '{"line":1}\n']);
  expect(answers.map(({ complete }) => complete)).toEqual([true, true]);
  server.close();
});
