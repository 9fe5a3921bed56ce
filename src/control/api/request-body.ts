// Bodies of requests, read as far as they may be long.

import type { IncomingMessage } from "node:http";
import { notText, receiveText, tooLarge, type WrittenText } from "../config/text-reader.ts";

export async function readText(request: IncomingMessage, mostBytes: number): Promise<string> {
  const body = await readBytes(request, mostBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw notText();
  }
}

/** A text that may be long, held elsewhere then. */
export async function receiveBody(request: IncomingMessage, mostBytes: number): Promise<WrittenText> {
  if (Number(request.headers["content-length"] ?? 0) > mostBytes) throw tooLarge(mostBytes);
  return receiveText(request, mostBytes);
}

/** A body that is too large is not read any further; its connection has to end with the answer. */
export async function readBytes(request: IncomingMessage, mostBytes: number): Promise<Uint8Array> {
  if (Number(request.headers["content-length"] ?? 0) > mostBytes) throw tooLarge(mostBytes);
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  // Not "for await": leaving it early destroys the connection, and with it the answer that says why.
  await new Promise<void>((resolve, reject) => {
    request.on("data", (part: Buffer) => {
      sizeBytes += part.length;
      if (sizeBytes > mostBytes) {
        request.pause();
        request.removeAllListeners("data");
        reject(tooLarge(mostBytes));
      } else {
        parts.push(part);
      }
    });
    request.on("end", resolve);
    request.on("error", reject);
  });
  return Buffer.concat(parts);
}
