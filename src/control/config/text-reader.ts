// Reads what others write, of any size, without holding up this thread: it answers the control socket and ends policies
// that do not return. YAML takes seconds per MiB, and its tree some 500 times the text's memory. A short text is read
// here, a longer one in a process that can die of it.

import type { Readable } from "node:stream";
import { SapwoodError } from "../../base/errors.ts";
import { readTextFile, statusOf } from "../../sys/user-file.ts";
import { ConfigDocument } from "./config-document.ts";
import { LongText } from "./long-text.ts";
import { parseDocument } from "./parse-text.ts";
import type { TextKinds, TextRequest } from "./text-contract.ts";

/** A process takes about as long to start as the slowest text of so many bytes to be read. */
export const SHORT_TEXT = 32_768;

/** A text as it came, to be read once. */
export type WrittenText = string | LongText;

/** Throws config-invalid, also when the text takes too much time or memory. */
export async function readText<Kind extends keyof TextKinds>(
  text: WrittenText,
  request: TextRequest<Kind>,
): Promise<TextKinds[Kind]["value"]> {
  if (typeof text === "string" && text.length <= SHORT_TEXT) {
    return parseDocument(new ConfigDocument(text, request.name), request);
  }
  const held = typeof text === "string" ? await LongText.of(text) : text;
  try {
    return await held.read(request);
  } finally {
    held.close();
  }
}

/** The text of a file. Throws config-unreadable, of a long one not before it is read. */
export function openTextFile(path: string): WrittenText {
  const { size = 0 } = statusOf(path) ?? {};
  return size <= SHORT_TEXT ? readTextFile(path) : new LongText(path, size);
}

/** What a stream brings, at the pace at which it can be taken. Throws body-too-large when it is longer. */
export async function receiveText(stream: Readable, mostBytes: number): Promise<WrittenText> {
  const short: Uint8Array[] = [];
  let sizeBytes = 0;
  let long: LongText | undefined;
  // Not "for await": leaving it early destroys the connection, and with it the answer that says why.
  try {
    await new Promise<void>((resolve, reject) => {
      const take = async (part: Uint8Array): Promise<void> => {
        sizeBytes += part.length;
        if (sizeBytes > mostBytes) {
          stream.pause();
          stream.removeAllListeners("data");
          return reject(tooLarge(mostBytes));
        }
        if (long === undefined && sizeBytes <= SHORT_TEXT) return void short.push(part);
        stream.pause();
        const parts = long === undefined ? [...short, part] : [part];
        long ??= new LongText();
        for (const one of parts) await long.write(one);
        stream.resume();
      };
      stream.on("data", (part: Uint8Array) => void take(part).catch(reject));
      stream.on("end", resolve);
      stream.on("error", reject);
      stream.on("close", () => reject(new Error("the stream ended before its text was complete")));
    });
  } catch (error) {
    (long as LongText | undefined)?.close();
    throw error;
  }
  if (long === undefined) return shortText(Buffer.concat(short));
  (long as LongText).end();
  return long;
}

export function tooLarge(mostBytes: number): SapwoodError {
  return new SapwoodError("body-too-large", `A body may have at most ${mostBytes} bytes here; this one has more.`);
}

function shortText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw notText();
  }
}

export function notText(): SapwoodError {
  return new SapwoodError("tables-invalid", "The body must be YAML or JSON in UTF-8; found bytes that are no UTF-8.");
}
