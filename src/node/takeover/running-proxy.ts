// Asks the proxy that runs at a control socket, as the commands do, for the process that takes over from it.

import { request } from "node:http";
import { isErrorCode, SapwoodError } from "../../base/errors.ts";

/** Its main thread may have a million instances in hand. */
const ANSWER_MS = 60_000;

/** The body of the answer. Throws not-running when nobody answers, or what it refuses the request with. */
export async function askRunning(socketPath: string, method: "GET" | "POST", path: string): Promise<string> {
  const { status, body } = await exchange(socketPath, method, path);
  if (status === 200) return body;
  const { code, message } = refusalOf(body);
  throw new SapwoodError(code, message ?? `The running proxy answered ${method} ${path} with status ${status}.`);
}

function exchange(socketPath: string, method: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(
        new SapwoodError(
          "not-running",
          `No proxy answers at ${socketPath} that could be taken over: ${error.message}.`,
          {
            cause: error,
          },
        ),
      );
    const asked = request({ socketPath, method, path, agent: false, timeout: ANSWER_MS }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") }),
      );
      response.on("error", fail);
    });
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`)));
    asked.on("error", fail).end();
  });
}

function refusalOf(body: string) {
  try {
    const { error } = JSON.parse(body) as { error?: { code?: unknown; message?: unknown } };
    const { code, message } = error ?? {};
    if (typeof code === "string" && isErrorCode(code) && typeof message === "string") return { code, message };
  } catch {
    // No proxy's answer.
  }
  return { code: "takeover-failed" as const, message: undefined };
}
