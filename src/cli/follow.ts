// Reads an answer of the control socket that goes on: one JSON value a line, until the proxy or the user ends it.

import { cutOff, openStream } from "./client.ts";

/** Resolves when the proxy ends the answer. Throws not-running when nobody answers, or when the answer is cut off. */
export async function followLines<Line>(socket: string, path: string, take: (line: Line) => void): Promise<void> {
  const response = await openStream(socket, path);
  response.setEncoding("utf8");
  let rest = "";
  try {
    for await (const piece of response) {
      const lines = (rest + piece).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) take(JSON.parse(line) as Line);
    }
  } catch (error) {
    throw response.errored === null ? error : cutOff(socket);
  }
}
