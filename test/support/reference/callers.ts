// The slow twin's memory of who called workloads of this node from addresses that the tables lack: what goes back there
// is an answer.
import * as CallerLayout from "../../../assembly/shared/layout/caller.ts";

/** How long a call is remembered. */
const CALLED_MS = 60_000;

interface Call {
  readonly caller: string;
  readonly workload: string;
  readonly atMs: number;
}

export class TwinCallers {
  /** By set: pairs of one set push each other out. */
  private readonly sets = new Map<number, (Call | undefined)[]>();

  /** `placeOf` is the set in which the engine remembers a pair. */
  constructor(private readonly placeOf: (caller: string, workload: string) => number) {}

  note(caller: string, workload: string, nowMs: number): void {
    const set = this.setOf(caller, workload);
    const ageOf = (one: Call | undefined): number =>
      Math.min(one === undefined ? CALLED_MS : nowMs - one.atMs, CALLED_MS);
    const same = set.findIndex((one) => one?.caller === caller && one.workload === workload);
    const [oldest = 0] = [...set.keys()].sort((a, b) => ageOf(set[b]) - ageOf(set[a]) || a - b);
    set[same === -1 ? oldest : same] = { caller, workload, atMs: nowMs };
  }

  hasCalled(caller: string, workload: string, nowMs: number): boolean {
    return this.setOf(caller, workload).some(
      (one) => one?.caller === caller && one.workload === workload && nowMs - one.atMs < CALLED_MS,
    );
  }

  private setOf(caller: string, workload: string): (Call | undefined)[] {
    const place = this.placeOf(caller, workload);
    const set = this.sets.get(place) ?? new Array<Call | undefined>(CallerLayout.SET).fill(undefined);
    this.sets.set(place, set);
    return set;
  }
}
