// A page that takes the whole terminal until a key or a signal ends it. Promises: whatever ends it, the terminal is as it
// was before, with what it had shown.

import { printable } from "../base/printable.ts";
import type { Screen, ScreenEvent } from "./command.ts";

// ECMA-48, and the private modes of xterm: another screen, and a cursor that cannot be seen
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const ERASE_LINE_END = "\u001b[K";
const ERASE_BELOW = "\u001b[J";
/** "q", Ctrl-C, Ctrl-D: a raw terminal sends no signal. */
const ENDING_KEYS = ["q", "Q", "\u0003", "\u0004"];
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Of a terminal that a person watches; standard input may be something else. */
export class ProcessScreen implements Screen {
  #isOpen = true;
  #isLeft = false;
  #tell: (event: ScreenEvent) => void = () => undefined;

  constructor() {
    const { stdin, stdout } = process;
    stdout.write(ENTER);
    if (stdin.isTTY) stdin.setRawMode(true);
    stdin.on("data", this.#onKeys).resume();
    stdout.on("resize", this.#onResize);
    for (const signal of SIGNALS) process.on(signal, this.#onEnd);
    process.on("exit", this.#restore);
  }

  get columns(): number {
    return process.stdout.columns;
  }

  get rows(): number {
    return process.stdout.rows;
  }

  show(lines: readonly string[]): void {
    const page = lines.slice(0, this.rows).map((line) => printable(line) + ERASE_LINE_END);
    if (this.#isOpen) process.stdout.write(HOME + page.join("\r\n") + ERASE_BELOW);
  }

  async next(afterMs: number): Promise<ScreenEvent> {
    if (this.#isLeft) return "left";
    return await new Promise((resolve) => {
      const timer = setTimeout(() => this.#tell("time"), afterMs);
      this.#tell = (event) => {
        clearTimeout(timer);
        this.#tell = () => undefined;
        resolve(event);
      };
    });
  }

  close(): void {
    this.#restore();
    const { stdin, stdout } = process;
    stdin.removeListener("data", this.#onKeys).pause();
    stdout.removeListener("resize", this.#onResize);
    for (const signal of SIGNALS) process.removeListener(signal, this.#onEnd);
    process.removeListener("exit", this.#restore);
  }

  readonly #onKeys = (keys: Buffer): void => {
    if (ENDING_KEYS.some((key) => keys.includes(key))) this.#onEnd();
  };

  readonly #onResize = (): void => this.#tell("resized");

  readonly #onEnd = (): void => {
    this.#isLeft = true;
    this.#tell("left");
  };

  /** Also when the process ends by itself. */
  readonly #restore = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdout.write(LEAVE);
  };
}
