// What the proxies of a lab use while they run: memory, descriptors, and how often their workers were started again.
import type { Lab } from "../../src/lab/lab.ts";
import type { StatusReport } from "../../src/model/reports.ts";

const LOCK = "sapwood-modules";

interface Sample {
  readonly pid: number;
  readonly memoryKib: number;
  readonly descriptors: number;
  readonly restarts: number;
  readonly atMs: number;
}

/** Runs a script that sees the processes of the lab below /proc, and no others. */
export function seeingProcesses(lab: Lab, node: string, script: string): Promise<string> {
  return lab.sandbox.expect(["unshare", "--mount", "sh", "-c", `mount -t proc proc /proc && ${script}`], node);
}

/** One proxy after the other on a node, as they are killed and taken over from. */
export class Processes {
  readonly #lab: Lab;
  readonly #node: string;
  #first: Sample | undefined;
  #last: Sample | undefined;
  #warm: Sample | undefined;
  #restartsBefore = 0;
  constructor(lab: Lab, node: string) {
    this.#lab = lab;
    this.#node = node;
  }

  /** Of all processes so far. */
  get workerRestarts(): number {
    return this.#restartsBefore + (this.#last?.restarts ?? 0);
  }

  /** From now on memory that is more than at the last sample counts as growth: the code is compiled by now. */
  warm(): void {
    this.#warm = this.#last;
  }

  /** Of the process that runs: at the last sample, and its growth since warm(). */
  get memory(): { readonly kib: number; readonly kibPerHour: number } {
    const [warm, last] = [this.#warm, this.#last];
    if (last === undefined) return { kib: 0, kibPerHour: 0 };
    const hours = (last.atMs - (warm?.atMs ?? last.atMs)) / 3_600_000;
    return { kib: last.memoryKib, kibPerHour: hours > 0 ? (last.memoryKib - (warm?.memoryKib ?? 0)) / hours : 0 };
  }

  /** Looks at the process that runs now, when nothing is asked of it. */
  async look(): Promise<void> {
    const { pid, workers } = await this.#lab.report<StatusReport>(this.#node, "status");
    // The lock on what was loaded by a command is there from the first such command on.
    const count = `ls -l /proc/${pid}/fd | grep -vc ${LOCK}`;
    const script = `grep VmRSS /proc/${pid}/status; ${count}`;
    const [memory, descriptors] = (await seeingProcesses(this.#lab, this.#node, script)).split("\n");
    const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
    const memoryKib = Number(memory?.match(/\d+/)?.[0]);
    const sample: Sample = { pid, memoryKib, descriptors: Number(descriptors), restarts, atMs: performance.now() };
    if (this.#first?.pid !== pid) this.#begin(sample);
    this.#last = sample;
  }

  /** Descriptors of the process that runs: how many more than at its first sample. For a moment after a command there are more. */
  get leaked(): number {
    return Math.max(0, (this.#last?.descriptors ?? 0) - (this.#first?.descriptors ?? 0));
  }

  #begin(sample: Sample): void {
    this.#restartsBefore += this.#last?.restarts ?? 0;
    this.#first = sample;
    this.#last = undefined;
  }
}
