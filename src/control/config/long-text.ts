// A text that is held and read by a process of its own, which can die of it. It is sent there in parts, as they come,
// and its services come back packed, some hundred at a time: this thread is never busy with all of it.

import { once } from "node:events";
import { totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { SapwoodError } from "../../base/errors.ts";
import { FrameReader } from "../../base/frame-reader.ts";
import type { Service, Tables } from "../../model/tables.ts";
import { LeanProcess } from "../../sys/lean-process.ts";
import { markChecked } from "../tables/table-validation.ts";
import { FrameKind, keptIndex, kindOf, serviceOf } from "./service-frame.ts";
import {
  processorLimit,
  type TextAnswer,
  type TextKinds,
  type TextRequest,
  tablesOf,
  withTables,
} from "./text-contract.ts";

// text-process.ts in few files, from where this file is compiled; as source (a test) it uses the same.
const PROCESS = new URL(
  `../../../${import.meta.url.endsWith(".ts") ? "dist/" : ""}program/text-process.js`,
  import.meta.url,
);
/** A quarter of the machine's memory, and more than a table of common size needs. */
const HEAP_MIB = Math.max(1536, Math.floor(totalmem() / 4 / 2 ** 20));
/** For a machine on which a process gets no processor time. */
const WALL_LIMIT_MS = 300_000;

export class LongText {
  /** Undefined where it could not be started. */
  readonly #child: LeanProcess | undefined;
  readonly #limit: NodeJS.Timeout;
  readonly #ended: Promise<void>;
  #sizeBytes: number;
  #services: Service[] = [];
  #inForce: readonly Service[] = [];
  /** Why there is no process. */
  #failure: Error | undefined;
  readonly #frames = new FrameReader((frame) => this.#take(frame));
  #onAnswer: ((answer: TextAnswer) => void) | undefined;
  /** All services of an answer have come. */
  #onComplete: (() => void) | undefined;

  /** What a file of this size has, or else what is written. */
  constructor(file?: string, sizeBytes = 0) {
    this.#sizeBytes = sizeBytes;
    const options = [`--max-old-space-size=${HEAP_MIB}`, fileURLToPath(PROCESS)];
    try {
      const argv = [...options, ...(file === undefined ? [] : [file])];
      this.#child = LeanProcess.start(argv, (answer) => this.#onAnswer?.(answer as TextAnswer));
      if (file !== undefined) this.#child.input.end();
      this.#child.output.on("data", (part: Buffer) => this.#frames.take(part));
    } catch (error) {
      this.#failure = error as Error;
    }
    this.#limit = setTimeout(() => this.close(), WALL_LIMIT_MS);
    this.#ended = this.#child?.ended ?? Promise.resolve();
  }

  static async of(text: string): Promise<LongText> {
    const held = new LongText();
    await held.write(Buffer.from(text));
    held.end();
    return held;
  }

  /** Resolves when more may be written. */
  async write(part: Uint8Array): Promise<void> {
    this.#sizeBytes += part.length;
    const input = this.#child?.input;
    if (input === undefined || input.destroyed || input.write(part)) return;
    await Promise.race([once(input, "drain").catch(() => undefined), this.#ended]);
  }

  /** The text is complete. */
  end(): void {
    this.#child?.input.end();
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
    this.#child?.kill();
  }

  async #ask(request: TextRequest): Promise<TextAnswer> {
    const inForce = inForceOf(request);
    this.#inForce = inForce?.services ?? [];
    const options =
      inForce === undefined ? request.options : { ...request.options, inForce: { ...inForce, services: [] } };
    const answered = new Promise<TextAnswer>((resolve) => {
      this.#onAnswer = resolve;
      void this.#ended.then(() => resolve(tooMuch(request.name, this.#sizeBytes)));
    });
    const complete = new Promise<void>((resolve) => {
      this.#onComplete = resolve;
      void this.#ended.then(resolve);
    });
    this.#child?.send({ ...request, options });
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

function tooMuch(name: string, sizeBytes: number): TextAnswer {
  const message =
    `${name}: expected a text that can be read in ${processorLimit(sizeBytes)} s and ${HEAP_MIB} MiB of memory, found ` +
    "one that takes more. JSON takes a fraction of what YAML takes.";
  return { kind: "refused", code: "config-invalid", message, details: [] };
}
