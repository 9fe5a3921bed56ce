// Reads what others write, of any size, without holding up this thread: it answers the control socket and ends policies
// that do not return. YAML takes seconds per MiB, and its tree some 500 times the text's memory. A short text is read
// here, a longer one in a process that can die of it.

import { fork } from "node:child_process";
import { SapwoodError } from "../../base/errors.ts";
import { parseText } from "./parse-text.ts";
import type { TextAnswer, TextKinds, TextRequest } from "./text-contract.ts";

// Compiled, this file has the process's beside it; as source (a test) it uses the compiled one.
const PROCESS = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/src/control/config/text-process.js" : "./text-process.js",
  import.meta.url,
);
/** In UTF-16 units. A process takes about as long to start as the slowest text of this length to be read. */
export const SHORT_TEXT = 32_768;
const HEAP_MIB = 1536;
const CPU_SECONDS = 60;
/** For a machine on which a process gets no processor time. */
const WALL_LIMIT_MS = 300_000;

/** Throws config-invalid, also when the text takes too much time or memory. */
export async function readText<Kind extends keyof TextKinds>(
  request: TextRequest<Kind>,
): Promise<TextKinds[Kind]["value"]> {
  if (request.text.length <= SHORT_TEXT) return parseText(request);
  const answer = await ask(request);
  if (answer.kind === "read") return answer.value as TextKinds[Kind]["value"];
  if (answer.kind === "refused") throw new SapwoodError(answer.code, answer.message, { details: answer.details });
  throw new SapwoodError("internal", `${request.name} could not be read: ${answer.message}.`);
}

function ask(request: TextRequest): Promise<TextAnswer> {
  const child = fork(PROCESS, [String(CPU_SECONDS)], {
    execArgv: [`--max-old-space-size=${HEAP_MIB}`],
    env: {},
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const limit = setTimeout(() => child.kill("SIGKILL"), WALL_LIMIT_MS);
  return new Promise<TextAnswer>((resolve, reject) => {
    child.once("exit", () => resolve(tooMuch(request)));
    child.once("error", (cause) => reject(noProcess(request, cause)));
    child.once("message", (answer: TextAnswer) => resolve(answer));
    if (child.connected) child.send(request); // else it could not be started
  }).finally(() => clearTimeout(limit));
}

function noProcess({ name }: TextRequest, cause: Error): SapwoodError {
  return new SapwoodError("system-call", `${name} could not be read: ${cause.message}.`, { cause });
}

function tooMuch({ name, text }: TextRequest): TextAnswer {
  const message =
    `${name}: expected a text that can be read in ${CPU_SECONDS} s and ${HEAP_MIB} MiB of memory, found one of ` +
    `${text.length} characters that takes more. JSON takes a fraction of what YAML takes.`;
  return { kind: "refused", code: "config-invalid", message, details: [] };
}
