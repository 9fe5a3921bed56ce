// A client that calls all the time, and what it has seen since it began (workload-client.ts, "load").
import { eventually } from "../../../src/lab/lab.ts";
import type { SandboxProgram } from "../../../src/lab/sandbox.ts";
import type { LoadReport } from "../../../src/lab/workload-protocol.ts";

/** A call whose answer was lost with its instance ends when its client gives it up (workload-client.ts). */
const FAILING_MS = 200_000;

export class Load {
  readonly #program: SandboxProgram;
  /** Of connections for one call. */
  readonly freshFailures: string[] = [];
  /** Of each kept connection. */
  heldFailures: readonly (readonly string[])[] = [];
  #holders: readonly (string | undefined)[] = [];

  constructor(program: SandboxProgram) {
    this.#program = program;
  }

  get failures(): readonly string[] {
    return [...this.freshFailures, ...this.heldFailures.flat()];
  }

  /** Who answered each kept connection last. */
  get holders(): readonly (string | undefined)[] {
    return this.#holders;
  }

  /** Resolves when calls are answered by exactly these. */
  async answeredBy(...instances: string[]): Promise<void> {
    const expected = JSON.stringify(instances.sort());
    await eventually(`exactly ${expected} to answer`, async () => {
      const { byInstance } = await this.#report();
      return JSON.stringify(Object.keys(byInstance).sort()) === expected;
    });
  }

  /** Resolves when each kept connection is answered. */
  async holding(): Promise<void> {
    await eventually("the kept connections to be answered", async () => {
      const { held } = await this.#report();
      return held.every(({ instances }) => instances.length > 0);
    });
  }

  /** Resolves when each kept connection, or each of those of `holder` in `holders`, has failed. */
  async failing(holder?: string, holders: Load["holders"] = []): Promise<void> {
    const waiting = (): number[] =>
      this.heldFailures.flatMap((failures, i) => (failures.length === 0 && holders[i] === holder ? [i] : []));
    await eventually(
      "the kept connections to fail",
      async () => {
        await this.#report();
        return waiting().length === 0;
      },
      FAILING_MS,
    ).catch((error: unknown) => {
      throw new Error(`connections ${waiting().join()} did not, answered last by ${this.#holders.join()}`, {
        cause: error,
      });
    });
  }

  /** At once: a call to an instance that is gone may wait for long. */
  async end(): Promise<void> {
    await this.#program.stop();
  }

  async #report(): Promise<LoadReport> {
    const seen = this.#program.stdout.length;
    this.#program.write("\n");
    await this.#program.until("a report", ({ stdout }) => stdout.length > seen && stdout.endsWith("\n"));
    const report: LoadReport = JSON.parse(this.#program.stdout.slice(seen));
    this.freshFailures.push(...report.failures);
    this.heldFailures = report.held.map(({ failures }, i) => [...(this.heldFailures[i] ?? []), ...failures]);
    this.#holders = report.held.map(({ instances }, i) => instances.at(-1) ?? this.#holders[i]);
    return report;
  }
}
