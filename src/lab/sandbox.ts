// A place of its own for a lab: private network, mount and PID namespaces (and a user namespace when not root) around
// one first process. Whatever ends the owner (Ctrl-C, kill -9), the kernel ends every process in it, and with them go
// the network namespaces, devices, routes and files; two sandboxes never meet.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { SapwoodError } from "../base/errors.ts";
import { builtFile } from "./build-paths.ts";
import type { Report, SandboxOrder } from "./sandbox-protocol.ts";

const RUN_TIMEOUT_MS = 60_000;

/** How a program in the sandbox ended, with all that it printed. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs in the sandbox. */
export class SandboxProgram {
  stdout = "";
  stderr = "";
  /** Settles when the program has ended and all its output has come. Never rejects. */
  readonly ended: Promise<Ended>;
  readonly #order: (order: SandboxOrder) => void;
  readonly #id: number;
  readonly #watchers = new Set<() => void>();
  #finish: (ended: Ended) => void = () => {};
  #result: Ended | undefined;

  constructor(id: number, order: (order: SandboxOrder) => void) {
    this.#id = id;
    this.#order = order;
    this.ended = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  get isRunning(): boolean {
    return this.#result === undefined;
  }

  write(text: string): void {
    this.#order({ kind: "input", id: this.#id, text, isLast: false });
  }

  endInput(text = ""): void {
    this.#order({ kind: "input", id: this.#id, text, isLast: true });
  }

  kill(signal: NodeJS.Signals): void {
    this.#order({ kind: "signal", id: this.#id, signal });
  }

  /** Ends the program: asks it first, and forces it after `graceMs`. */
  async stop(graceMs = RUN_TIMEOUT_MS): Promise<Ended> {
    this.kill("SIGTERM");
    const force = setTimeout(() => this.kill("SIGKILL"), graceMs);
    const ended = await this.ended;
    clearTimeout(force);
    return ended;
  }

  /** Waits until the output fulfils `isReached`; fails when the program ends before, or after `timeoutMs`. */
  async until(what: string, isReached: (program: this) => boolean, timeoutMs = RUN_TIMEOUT_MS): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: SapwoodError): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const fail = (why: string): void =>
        settle(
          new SapwoodError(
            "lab-failed",
            `Waited for ${what}, but ${why}: ${(this.stderr + this.stdout).trim().slice(-2000)}`,
          ),
        );
      const look = (): void => {
        if (isReached(this)) settle();
        else if (this.#result !== undefined) fail(`the program ended with ${this.#result.signal ?? this.#result.code}`);
      };
      const timer = setTimeout(() => fail(`nothing came within ${timeoutMs} ms`), timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }

  /** Called by the sandbox alone. */
  accept(report: Extract<Report, { kind: "output" | "ended" }>): void {
    if (report.kind === "output") {
      this[report.stream] += report.text;
    } else if (this.#result === undefined) {
      this.#result = { code: report.code, signal: report.signal, stdout: this.stdout, stderr: this.stderr };
      this.#finish(this.#result);
    }
    for (const look of [...this.#watchers]) look();
  }
}

export class Sandbox {
  /** Process id of the first process as the host numbers it, for `nsenter --target`. */
  readonly hostPid: number;
  readonly #child: ChildProcess;
  readonly #programs: Map<number, SandboxProgram>;
  #lastId = 0;

  private constructor(child: ChildProcess, hostPid: number, programs: Map<number, SandboxProgram>) {
    this.#child = child;
    this.hostPid = hostPid;
    this.#programs = programs;
  }

  /** Whether the sandboxes of this process need a user namespace. */
  static get needsUserNamespace(): boolean {
    return process.geteuid?.() !== 0;
  }

  /** Opens a sandbox; throws a sentence that says what is missing. `signal` gives up, and leaves nothing. */
  static async open(signal?: AbortSignal): Promise<Sandbox> {
    const user = Sandbox.needsUserNamespace ? ["--user", "--map-root-user"] : [];
    const args = [...user, "--net", "--mount", "--pid", "--fork", "--kill-child"];
    // A session of its own: Ctrl-C reaches the owner alone, which ends the sandbox in order.
    const child = spawn("unshare", [...args, process.execPath, builtFile("src/lab/sandbox-init.js")], {
      env: sandboxEnvironment(),
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      detached: true,
    });
    const programs = new Map<number, SandboxProgram>();
    try {
      const report = await firstReport(child, args, signal);
      if (report.kind === "refused") throw refusal(report.code, report.message);
      if (report.kind !== "ready")
        throw refusal("lab-failed", `The lab's first process said "${report.kind}" where "ready" was expected.`);
      child.on("message", (message) => {
        const next = message as Report;
        if (next.kind === "output" || next.kind === "ended") programs.get(next.id)?.accept(next);
      });
      child.once("exit", () => {
        for (const [id, program] of programs) program.accept({ kind: "ended", id, code: null, signal: "SIGKILL" });
      });
      return new Sandbox(child, report.hostPid, programs);
    } catch (error) {
      await end(child);
      throw error;
    }
  }

  /** Starts a program in the sandbox, or in one of its network namespaces. */
  start(argv: readonly string[], namespace?: string): SandboxProgram {
    const id = ++this.#lastId;
    const program = new SandboxProgram(id, (order) => this.#order(order));
    this.#programs.set(id, program);
    const enter = namespace === undefined ? [] : ["nsenter", `--net=${namespaceFile(namespace)}`];
    if (this.#child.connected) this.#order({ kind: "start", id, argv: [...enter, ...argv] });
    else program.accept({ kind: "ended", id, code: null, signal: "SIGKILL" });
    void program.ended.then(() => this.#programs.delete(id));
    return program;
  }

  /** Runs a program to its end, whatever that is. */
  async run(argv: readonly string[], namespace?: string, input = "", timeoutMs = RUN_TIMEOUT_MS): Promise<Ended> {
    const program = this.start(argv, namespace);
    program.endInput(input);
    const force = setTimeout(() => program.kill("SIGKILL"), timeoutMs);
    const ended = await program.ended;
    clearTimeout(force);
    return ended;
  }

  /** Runs a program that must succeed; returns what it printed. */
  async expect(argv: readonly string[], namespace?: string, input = "", timeoutMs = RUN_TIMEOUT_MS): Promise<string> {
    const ended = await this.run(argv, namespace, input, timeoutMs);
    if (ended.code === 0) return ended.stdout;
    const where = namespace === undefined ? "" : ` in ${namespace}`;
    throw refusal(
      "lab-failed",
      `\`${argv.join(" ").slice(0, 300)}\`${where} ended with ${ended.signal ?? ended.code}: ${(ended.stderr || ended.stdout).trim()}`,
    );
  }

  /** Writes a file under the sandbox's private /run (folders are made); programs started later see it. */
  writeFile(path: string, text: string): void {
    this.#order({ kind: "write", path, text, mode: 0o644 });
  }

  /** The same for a file that is to be run. */
  writeProgram(path: string, text: string): void {
    this.#order({ kind: "write", path, text, mode: 0o755 });
  }

  /** Where a file of the sandbox is for this process, which sees another /run. */
  pathFromOutside(path: string): string {
    return `/proc/${this.hostPid}/root${path}`;
  }

  /** Ends everything in the sandbox; when this settles no process of it is left. */
  async close(): Promise<void> {
    await end(this.#child);
  }

  #order(order: SandboxOrder): void {
    if (this.#child.connected) this.#child.send(order);
  }
}

/** Of all programs in a sandbox. */
function sandboxEnvironment(): NodeJS.ProcessEnv {
  // Node.js reads these certificates at each start, which takes three times as long with those of a whole machine.
  // Nobody whom they would prove is reached from a sandbox.
  const { NODE_EXTRA_CA_CERTS: _, ...rest } = process.env;
  // An ordinary user's PATH may lack the folders that have `ip`.
  return { ...rest, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` };
}

/** What the sandbox's first process says first; rejects with a sentence when it cannot. */
function firstReport(child: ChildProcess, args: readonly string[], signal?: AbortSignal): Promise<Report> {
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    const refuse = (code: Parameters<typeof refusal>[0], sentence: string): void => reject(refusal(code, sentence));
    child.once("message", (report) => resolve(report as Report));
    child.once("error", ({ message }) =>
      refuse("missing-tool", `The lab needs the program \`unshare\` (package util-linux) in the PATH: ${message}.`),
    );
    child.once("close", () => {
      const unshare = `\`unshare ${args.join(" ")}\``;
      const why = stderr.trim() || "it ended early";
      refuse("missing-rights", `The lab could not make its private namespaces with ${unshare}: ${why}.`);
    });
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal?.aborted) reject(signal.reason);
  });
}

/** Where `ip netns add` keeps a namespace. */
export function namespaceFile(namespace: string): string {
  return `/run/netns/${namespace}`;
}

/** Closes the channel, which ends the first process; `unshare` ends when the kernel has ended all others. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  if (child.connected) child.disconnect();
  const force = setTimeout(() => child.kill("SIGKILL"), 5_000); // --kill-child takes the first process along
  await exit;
  clearTimeout(force);
}

function refusal(code: ConstructorParameters<typeof SapwoodError>[0], message: string): SapwoodError {
  return new SapwoodError(code, message.replace(/\.\.$/, "."));
}
