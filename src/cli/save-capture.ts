// Writes what a capture answers to a file or to standard output. Whenever it ends, what was written is a whole file.

import { createWriteStream } from "node:fs";
import type { IncomingMessage } from "node:http";
import type { Writable } from "node:stream";
import { isatty } from "node:tty";
import { SapwoodError } from "../base/errors.ts";
import { printableLine } from "../base/printable.ts";
import { cutOff, openStream } from "./client.ts";
import { WholeBlocks } from "./whole-blocks.ts";

const STDOUT = 1;

interface CaptureTarget {
  readonly socket: string;
  /** Route and query. */
  readonly path: string;
  /** Undefined: standard output. */
  readonly file: string | undefined;
  /** Ends the capture from here. */
  readonly ending: Promise<void>;
}

/** Resolves when the proxy, the user or the reader of the output ended it. Throws not-running when it was cut off. */
export async function saveCapture({ socket, path, file, ending }: CaptureTarget): Promise<void> {
  if (file === undefined && isatty(STDOUT)) {
    throw new SapwoodError("usage", "A capture is no text: name a file with --write, or pipe it to a program.");
  }
  const response = await openStream(socket, path);
  const output = file === undefined ? process.stdout : createWriteStream(file);
  let isEnded = false; // by the user
  const ended = ending.then(() => {
    isEnded = true;
  });
  const problem = await copyBlocks(response, output, ended);
  const isCutOff = problem === undefined && !isEnded && !response.complete;
  response.destroy();
  if (problem !== undefined && problem.code !== "EPIPE") {
    const where = file === undefined ? "standard output" : printableLine(file);
    throw new SapwoodError("usage", `The capture cannot be written to ${where} (${problem.code ?? problem.message}).`);
  }
  if (isCutOff) throw cutOff(socket);
}

/** What the output could not take; undefined: it has everything. */
async function copyBlocks(
  response: IncomingMessage,
  output: Writable,
  ending: Promise<void>,
): Promise<NodeJS.ErrnoException | undefined> {
  const blocks = new WholeBlocks();
  let problem: NodeJS.ErrnoException | undefined;
  await new Promise<void>((resolve, reject) => {
    output.on("error", (error) => {
      problem = error;
      resolve();
    });
    response.on("data", (piece: Buffer) => {
      try {
        if (output.write(blocks.add(piece))) return;
      } catch (error) {
        return reject(error); // what the proxy sent is no capture
      }
      response.pause();
      output.once("drain", () => response.resume());
    });
    response.on("error", () => resolve()); // it was cut off
    response.on("close", resolve);
    ending.then(resolve, reject);
  });
  response.pause();
  if (problem === undefined) await new Promise((written) => output.end(written));
  return problem;
}
