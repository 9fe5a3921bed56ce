// Asks a running proxy over its control socket.

import { request } from "node:http";
import type { ErrorReport } from "../control/reports.ts";
import { isErrorCode, SapwoodError } from "../errors.ts";

/** A proxy answers within milliseconds; one that is stuck must not hold the terminal. */
const ANSWER_TIMEOUT_MS = 30_000;

/** The body of a GET, as the route promises it in docs/control-api.md. */
export async function fetchReport<Report>(socket: string, path: string): Promise<Report> {
  return (await exchange(socket, "GET", path)) as Report;
}

/** The same for a POST of a YAML or JSON text. */
export async function postText<Report>(socket: string, path: string, text: string): Promise<Report> {
  return (await exchange(socket, "POST", path, text)) as Report;
}

async function exchange(socket: string, method: string, path: string, text?: string): Promise<unknown> {
  const { status, body } = await send(socket, method, path, text);
  const answer = parse(body, socket);
  if (status === 200) return answer;
  if (isErrorReport(answer) && isErrorCode(answer.error.code)) {
    throw new SapwoodError(answer.error.code, answer.error.message);
  }
  throw new SapwoodError("internal", `${socket} answered ${method} ${path} with status ${status} and no known error.`);
}

function send(socket: string, method: string, path: string, text?: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/yaml", "content-length": Buffer.byteLength(text ?? "") };
    const options = { socketPath: socket, method, path, agent: false, ...(text === undefined ? {} : { headers }) };
    const outgoing = request(options, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") }),
      );
      response.on("error", (error) => reject(failure(error, socket)));
    });
    outgoing.setTimeout(ANSWER_TIMEOUT_MS, () => {
      outgoing.destroy(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" }));
    });
    outgoing.on("error", (error) => reject(failure(error, socket)));
    outgoing.end(text);
  });
}

function failure(error: NodeJS.ErrnoException, socket: string): SapwoodError {
  const found = error.code ?? error.message;
  if (found === "EACCES" || found === "EPERM") {
    return new SapwoodError("missing-rights", `The control socket ${socket} may not be used by this user (${found}).`, {
      cause: error,
    });
  }
  return new SapwoodError(
    "not-running",
    `No proxy answers at ${socket} (${found}): start one with "sapwood run", or name its socket with --socket.`,
    { cause: error },
  );
}

function parse(body: string, socket: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new SapwoodError("not-running", `What answers at ${socket} is no sapwood proxy: its answer is no JSON.`, {
      cause: error,
    });
  }
}

function isErrorReport(answer: unknown): answer is ErrorReport {
  if (typeof answer !== "object" || answer === null || !("error" in answer)) return false;
  const { error } = answer;
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string";
}
