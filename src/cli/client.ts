// Asks a running proxy over its control socket.

import { type IncomingMessage, request } from "node:http";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrorCode, SapwoodError } from "../base/errors.ts";
import { printableLine } from "../base/printable.ts";
import type { ErrorReport } from "../model/reports.ts";

/** A proxy answers within milliseconds; one that is stuck must not hold the terminal. */
const ANSWER_TIMEOUT_MS = 30_000;
/** A change takes longer on a busy machine: a module is tried before it is in force, very many services are read. */
const CHANGE_TIMEOUT_MS = 300_000;

/** A proxy without a descriptor sees to it within a second that it can answer. */
const AGAIN_MS = 2000;
/** Somebody is there. */
const CUT_OFF = ["ECONNRESET", "EPIPE", "ETIMEDOUT"];

/** A part of a sentence for what the kernel says in codes. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket",
  ENOTDIR: "a part of its path is no folder",
  ENOTSOCK: "what is there is no socket",
  ECONNREFUSED: "nobody listens there",
  ECONNRESET: "the connection ended before the answer",
  EPIPE: "the connection ended before the request was sent",
  EINVAL: "the path is too long for a socket",
  ENAMETOOLONG: "the path is too long for a socket",
};

/** The body of a GET, as the route promises it in docs/control-api.md. */
export async function fetchReport<Report>(socket: string, path: string): Promise<Report> {
  try {
    return (await exchange(socket, "GET", path)) as Report;
  } catch (error) {
    if (!isReset(error)) throw error;
    await sleep(AGAIN_MS);
    return (await exchange(socket, "GET", path)) as Report;
  }
}

/** The same for a POST of a YAML or JSON text. */
export async function postText<Report>(socket: string, path: string, text: string): Promise<Report> {
  return (await exchange(socket, "POST", path, yamlBody(text))) as Report;
}

/** And for a PATCH. */
export async function patchText<Report>(socket: string, path: string, text: string): Promise<Report> {
  return (await exchange(socket, "PATCH", path, yamlBody(text))) as Report;
}

/** And for a DELETE. */
export async function deleteEntry<Report>(socket: string, path: string): Promise<Report> {
  return (await exchange(socket, "DELETE", path)) as Report;
}

interface ModuleFile {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** The same for a PUT of a module; its file is told as its source. */
export async function putModule<Report>(
  socket: string,
  path: string,
  { file, bytes }: ModuleFile,
  query: Readonly<Record<string, string>> = {},
): Promise<Report> {
  const search = new URLSearchParams({ source: resolve(file), ...query });
  return (await exchange(socket, "PUT", `${path}?${search}`, { type: "application/wasm", bytes })) as Report;
}

interface Body {
  readonly type: string;
  readonly bytes: Uint8Array;
}

function yamlBody(text: string): Body {
  return { type: "application/yaml", bytes: Buffer.from(text) };
}

async function exchange(socket: string, method: string, path: string, sent?: Body): Promise<unknown> {
  if (socket === "") throw new SapwoodError("usage", "--socket must be a path; found an empty text.");
  const { status, body } = await send(socket, method, path, sent);
  if (status === 200) return parse(body, socket);
  throw refusal(body, socket, `${method} ${path} with status ${status}`);
}

/** A GET whose answer goes on. Throws what the proxy refuses it for, or not-running when nobody answers. */
export async function openStream(socket: string, path: string): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((answered, reject) => {
    const outgoing = request({ socketPath: socket, path, agent: false }, answered);
    outgoing.on("error", (error) => reject(failure(error, socket)));
    outgoing.end();
  });
  if (response.statusCode === 200) return response;
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  throw refusal(Buffer.concat(parts).toString("utf8"), socket, `GET ${path} with status ${response.statusCode}`);
}

function refusal(body: string, socket: string, asked: string): SapwoodError {
  const answer = parse(body, socket);
  if (isErrorReport(answer) && isErrorCode(answer.error.code)) {
    return new SapwoodError(answer.error.code, answer.error.message, { details: answer.error.details });
  }
  return new SapwoodError("internal", `${socket} answered ${asked} and no known error.`);
}

function send(socket: string, method: string, path: string, sent?: Body): Promise<{ status: number; body: string }> {
  return new Promise((answered, reject) => {
    const headers = sent && { "content-type": sent.type, "content-length": sent.bytes.length };
    const options = { socketPath: socket, method, path, agent: false, ...(headers && { headers }) };
    const outgoing = request(options, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        answered({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") }),
      );
      response.on("error", (error) => reject(failure(error, socket)));
    });
    const timeoutMs = method === "GET" ? ANSWER_TIMEOUT_MS : CHANGE_TIMEOUT_MS;
    outgoing.setTimeout(timeoutMs, () => {
      const message = `there was no answer within ${timeoutMs / 1000} s`;
      outgoing.destroy(Object.assign(new Error(message), { code: "ETIMEDOUT" }));
    });
    outgoing.on("error", (error) => reject(failure(error, socket)));
    outgoing.end(sent?.bytes);
  });
}

/** An answer that goes on ended in the middle. */
export function cutOff(socket: string): SapwoodError {
  return new SapwoodError(
    "not-running",
    `The proxy at ${printableLine(socket)} cut the answer off: it ended suddenly, or too much waited for this program.`,
  );
}

/** Why nobody was reached. */
function failure(error: NodeJS.ErrnoException, socket: string): SapwoodError {
  const found = error.code ?? error.message;
  const path = printableLine(socket);
  if (found === "EACCES" || found === "EPERM") {
    return new SapwoodError("missing-rights", `The control socket ${path} may not be used by this user (${found}).`, {
      cause: error,
    });
  }
  if (CUT_OFF.includes(found)) {
    const message = `The proxy at ${path} gave no answer: ${REASONS[found] ?? error.message} (${found}). Its log may say why.`;
    return new SapwoodError("not-running", message, { cause: error });
  }
  return new SapwoodError(
    "not-running",
    `No proxy answers at ${path}, ${REASONS[found] ?? "it cannot be asked"} (${found}): ` +
      'start one with "sapwood run", or name its socket with --socket.',
    { cause: error },
  );
}

function isReset(error: unknown): boolean {
  return error instanceof SapwoodError && (error.cause as NodeJS.ErrnoException | undefined)?.code === "ECONNRESET";
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
