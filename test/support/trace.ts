// What happens between control plane and worker, in the order in which it happened: a log in the unused first page of
// the shared memory, to which the test and the thread test/scenarios/in-worker/traced-worker.mjs add lines. Each line
// is one of a Mermaid sequence diagram.
//
//      4 how many lines   8 length of the frame that the worker is to read   12 HOLD
//     16 1 = a call is not over, or what it queued is not sent                256 lines   3584 the frame

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { SharedMemory } from "../../src/memory/shared-memory.ts";

const [LINE_COUNT, FRAME_LENGTH, HOLD, INSIDE] = [1, 2, 3, 4] as const;
const [HOLD_ASKED, HOLD_BEGUN] = [1, 2] as const;
const [FRAME_AT, LINES_AT, LINE_SIZE] = [3584, 256, 128] as const;
const WAIT_MS = 60_000;

export class Trace {
  readonly #shared: SharedMemory;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
  }

  /** Adds a line. */
  note(line: string): void {
    const at = LINES_AT + LINE_SIZE * Atomics.add(this.#shared.i32, LINE_COUNT, 1);
    if (line.length > LINE_SIZE || at + LINE_SIZE > FRAME_AT) throw new RangeError(`no room for "${line}"`);
    this.#shared.bytes.set(new TextEncoder().encode(line), at);
  }

  lines(): string[] {
    return Array.from({ length: Atomics.load(this.#shared.i32, LINE_COUNT) }, (_, i) => {
      const at = LINES_AT + i * LINE_SIZE;
      return new TextDecoder().decode(this.#shared.bytes.slice(at, at + LINE_SIZE)).replace(/\0+$/, "");
    });
  }

  /** Forgets what was noted. */
  clear(): void {
    this.#shared.bytes.fill(0, LINES_AT, FRAME_AT);
    Atomics.store(this.#shared.i32, LINE_COUNT, 0);
  }

  /** Resolves when a line that begins so was noted. */
  async until(beginning: string, count = 1): Promise<void> {
    await expect.poll(() => this.lines().filter((line) => line.startsWith(beginning)).length).toBe(count);
  }

  /** Gives the worker a frame to read. */
  send(frame: Uint8Array): void {
    this.#shared.bytes.set(frame, FRAME_AT);
    Atomics.store(this.#shared.i32, FRAME_LENGTH, frame.length);
    Atomics.notify(this.#shared.i32, FRAME_LENGTH);
  }

  /** The worker stops in the middle of its next call that opens a flow. */
  hold(): void {
    Atomics.store(this.#shared.i32, HOLD, HOLD_ASKED);
  }

  async untilHeld(): Promise<void> {
    await expect.poll(() => Atomics.load(this.#shared.i32, HOLD)).toBe(HOLD_BEGUN);
  }

  release(): void {
    Atomics.store(this.#shared.i32, HOLD, 0);
    Atomics.notify(this.#shared.i32, HOLD);
  }

  /** Blocks until the worker has noted the end of its call, and what it sent. */
  waitForEndOfCall(): void {
    expect(Atomics.wait(this.#shared.i32, INSIDE, 1, WAIT_MS)).not.toBe("timed-out");
  }
}

/** Who a letter stands for, from the left to the right of the picture. */
type Participants = Readonly<Record<string, string>>;

/**
 * The diagram in `document` behind the comment `<!-- diagram: NAME -->` is what happened. With SAPWOOD_DIAGRAMS=write
 * the document is changed.
 */
export function expectDiagram(
  document: string,
  name: string,
  participants: Participants,
  lines: readonly string[],
): void {
  const file = fileURLToPath(new URL(`../../${document}`, import.meta.url));
  const text = readFileSync(file, "utf8");
  const mark = `<!-- diagram: ${name} -->\n`;
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`${document} has no ${mark.trim()}`);
  const block = /^```mermaid\n[\s\S]*?^```\n/m.exec(text.slice(at + mark.length));
  const begin = at + mark.length;
  const end = block?.index === 0 ? begin + block[0].length : begin;
  const who = Object.entries(participants).map(([letter, meaning]) => `participant ${letter} as ${meaning}`);
  const happened = `\`\`\`mermaid\n${["sequenceDiagram", ...[...who, ...lines].map((line) => `    ${line}`)].join("\n")}\n\`\`\`\n`;
  if (process.env["SAPWOOD_DIAGRAMS"] === "write") {
    writeFileSync(file, text.slice(0, begin) + happened + text.slice(end));
    return;
  }
  expect(text.slice(begin, end), `${document}, diagram "${name}"; SAPWOOD_DIAGRAMS=write rewrites it`).toBe(happened);
}
