// Bodies of requests, read as far as they may be long.

import type { IncomingMessage } from "node:http";
import { SapwoodError } from "../../base/errors.ts";

export async function readText(request: IncomingMessage, mostBytes: number): Promise<string> {
  const body = await readBytes(request, mostBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw new SapwoodError("tables-invalid", "The body must be YAML or JSON in UTF-8; found bytes that are no UTF-8.");
  }
}

/** A body that is too large is not read any further; its connection has to end with the answer. */
export async function readBytes(request: IncomingMessage, mostBytes: number): Promise<Uint8Array> {
  const tooLarge = () =>
    new SapwoodError("body-too-large", `A body may have at most ${mostBytes} bytes here; this one has more.`);
  if (Number(request.headers["content-length"] ?? 0) > mostBytes) throw tooLarge();
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  // Not "for await": leaving it early destroys the connection, and with it the answer that says why.
  await new Promise<void>((resolve, reject) => {
    request.on("data", (part: Buffer) => {
      sizeBytes += part.length;
      if (sizeBytes > mostBytes) {
        request.pause();
        request.removeAllListeners("data");
        reject(tooLarge());
      } else {
        parts.push(part);
      }
    });
    request.on("end", resolve);
    request.on("error", reject);
  });
  return Buffer.concat(parts);
}
