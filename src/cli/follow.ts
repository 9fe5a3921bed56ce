// Reads an answer of the control socket that goes on: one JSON value a line, until the proxy or the user ends it.

import { request } from "node:http";
import { createInterface } from "node:readline";
import { SapwoodError } from "../base/errors.ts";
import { failure } from "./client.ts";

/** Resolves when the proxy ends the answer. Throws not-running when nobody answers. */
export async function followLines<Line>(socket: string, path: string, take: (line: Line) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const outgoing = request({ socketPath: socket, path, agent: false }, (response) => {
      if (response.statusCode !== 200) {
        reject(new SapwoodError("internal", `${socket} answered ${path} with status ${response.statusCode}.`));
        outgoing.destroy();
        return;
      }
      const lines = createInterface({ input: response });
      lines.on("line", (line) => {
        if (line !== "") take(JSON.parse(line) as Line);
      });
      lines.on("close", resolve);
      response.on("error", () => resolve()); // the proxy ended
    });
    outgoing.on("error", (error) => reject(failure(error, socket)));
    outgoing.end();
  });
}
