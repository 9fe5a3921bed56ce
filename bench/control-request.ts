// A request to the control socket of a proxy, and how long the socket is silent for one who asks all the time.
import { request } from "node:http";
import { SapwoodError } from "../src/base/errors.ts";

const ANSWER_TIMEOUT_MS = 300_000;

/** The whole answer. Throws a SapwoodError when it is a refusal. */
export function ask(socketPath: string, method: string, path: string, body: string | Buffer = ""): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false, timeout: ANSWER_TIMEOUT_MS }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const answer = Buffer.concat(parts);
        if (response.statusCode === 200) resolve(answer);
        else reject(new SapwoodError("usage", answer.toString("utf8", 0, 300)));
      });
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer in time")));
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
