// A text that is held and read by a process of its own, which can die of it. It is sent there in parts, as they come,
// and its services come back packed, some hundred at a time: this thread is never busy with all of it.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { totalmem } from "node:os";
import { SapwoodError } from "../../base/errors.ts";
import type { Service, Tables } from "../../model/tables.ts";
import { markChecked } from "../tables/table-validation.ts";
import { FrameKind, FrameReader, keptIndex, kindOf, serviceOf } from "./service-frame.ts";
import { type TextAnswer, type TextKinds, type TextRequest, tablesOf, withTables } from "./text-contract.ts";

// Compiled, this file has the process's beside it; as source (a test) it uses the compiled one.
const PROCESS = new URL(
  import.meta.url.endsWith(".ts") ? "../../../dist/src/control/config/text-process.js" : "./text-process.js",
  import.meta.url,
);
/** A quarter of the machine's memory, and more than a table of common size needs. */
const HEAP_MIB = Math.max(1536, Math.floor(totalmem() / 4 / 2 ** 20));
const CPU_SECONDS = 60;
/** For a machine on which a process gets no processor time. */
const WALL_LIMIT_MS = 300_000;

export class LongText {
  readonly #child: ChildProcess;
  readonly #limit: NodeJS.Timeout;
  readonly #ended: Promise<void>;
  #services: Service[] = [];
  #inForce: readonly Service[] = [];
  /** Why there is no process. */
  #failure: Error | undefined;
  readonly #frames = new FrameReader((frame) => this.#take(frame));
  /** All services of an answer have come. */
  #onComplete: (() => void) | undefined;

  /** What a file has, or else what is written. */
  constructor(file?: string) {
    const child = fork(PROCESS, [String(CPU_SECONDS), ...(file === undefined ? [] : [file])], {
      execArgv: [`--max-old-space-size=${HEAP_MIB}`],
      env: {},
      serialization: "advanced",
      stdio: [file === undefined ? "pipe" : "ignore", "pipe", "ignore", "ipc"],
    });
    this.#child = child;
    this.#limit = setTimeout(() => this.close(), WALL_LIMIT_MS);
    this.#ended = new Promise((resolve) => {
      child.once("close", resolve);
      child.on("error", (cause) => {
        this.#failure = cause;
        resolve();
      });
    });
    child.stdin?.on("error", () => undefined); // it died; read() says of what
    child.stdout?.on("data", (part: Buffer) => this.#frames.take(part));
  }

  static async of(text: string): Promise<LongText> {
    const held = new LongText();
    await held.write(Buffer.from(text));
    held.end();
    return held;
  }

  /** Resolves when more may be written. */
  async write(part: Uint8Array): Promise<void> {
    const stdin = this.#child.stdin ?? undefined; // neither of a file nor of a process that could not be started
    if (stdin === undefined || stdin.destroyed || stdin.write(part)) return;
    await Promise.race([once(stdin, "drain").catch(() => undefined), this.#ended]);
  }

  /** The text is complete. */
  end(): void {
    this.#child.stdin?.end();
  }

  /** Throws config-invalid, also when the text takes too much time or memory, and config-unreadable of a file. */
  async read<Kind extends keyof TextKinds>(request: TextRequest<Kind>): Promise<TextKinds[Kind]["value"]> {
    const answer = await this.#ask(request);
    if (this.#failure !== undefined) throw noProcess(request.name, this.#failure);
    if (answer.kind === "refused") throw new SapwoodError(answer.code, answer.message, { details: answer.details });
    if (answer.kind === "failed") {
      throw new SapwoodError("internal", `${request.name} could not be read: ${answer.message}.`);
    }
    const { keepsServices, checkedBy } = answer;
    const value = answer.value as TextKinds[Kind]["value"];
    const tables = tablesOf(value);
    if (tables === undefined) return value;
    const services = keepsServices ? (inForceOf(request)?.services ?? []) : this.#services;
    this.#services = [];
    const whole: Tables = { ...tables, services };
    const made = withTables(value, whole);
    const marked = tablesOf(made);
    if (checkedBy !== undefined && marked !== undefined) markChecked(marked, checkedBy);
    return made as TextKinds[Kind]["value"];
  }

  /** Ends the process. To be called in any case; a text that is being read is refused. */
  close(): void {
    clearTimeout(this.#limit);
    this.#child.kill("SIGKILL");
  }

  async #ask(request: TextRequest): Promise<TextAnswer> {
    const inForce = inForceOf(request);
    this.#inForce = inForce?.services ?? [];
    const options =
      inForce === undefined ? request.options : { ...request.options, inForce: { ...inForce, services: [] } };
    const child = this.#child;
    const answered = new Promise<TextAnswer>((resolve) => {
      child.once("message", (answer: TextAnswer) => resolve(answer));
      void this.#ended.then(() => resolve(tooMuch(request.name)));
    });
    const complete = new Promise<void>((resolve) => {
      this.#onComplete = resolve;
      void this.#ended.then(resolve);
    });
    if (child.connected) child.send({ ...request, options }, () => undefined);
    const answer = await answered;
    await complete; // it comes another way, and may come later
    return answer;
  }

  #take(frame: Buffer): void {
    switch (kindOf(frame)) {
      case FrameKind.end:
        this.#onComplete?.();
        break;
      case FrameKind.restart:
        this.#services = [];
        break;
      case FrameKind.kept: {
        const kept = this.#inForce[keptIndex(frame)];
        if (kept !== undefined) this.#services.push(kept);
        break;
      }
      default:
        this.#services.push(serviceOf(frame));
    }
  }
}

function inForceOf({ options }: TextRequest): Tables | undefined {
  return "inForce" in options ? options.inForce : undefined;
}

function noProcess(name: string, cause: Error): SapwoodError {
  return new SapwoodError("system-call", `${name} could not be read: ${cause.message}.`, { cause });
}

function tooMuch(name: string): TextAnswer {
  const message =
    `${name}: expected a text that can be read in ${CPU_SECONDS} s and ${HEAP_MIB} MiB of memory, found one ` +
    "that takes more. JSON takes a fraction of what YAML takes.";
  return { kind: "refused", code: "config-invalid", message, details: [] };
}
