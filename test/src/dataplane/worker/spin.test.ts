// A worker that looks on, on a machine whose clock and free processors the test holds.
import { describe, expect, test } from "vitest";
import { Spin } from "../../../../src/dataplane/worker/spin.ts";

const SECOND_US = 1_000_000;
const LOOK_US = 1;

class Machine {
  nowUs = 1000;
  /** Processors that nobody else uses; what the worker spins on is one of them. */
  free = 4;
  /** How long a look takes: more when somebody else has the processor meanwhile. */
  lookUs = LOOK_US;
  wakeUps = 0;
  spunUs = 0;
  readonly #spin: Spin;
  #idleUs = 0;

  constructor(isKnown = true) {
    this.#spin = new Spin({ idleUs: () => (isKnown ? this.#idleUs : Number.NaN) }, this.nowUs);
  }

  /** Packets come `gapUs` apart for a while; forgets what was counted before. */
  run(gapUs: number, durationUs: number): this {
    this.wakeUps = 0;
    this.spunUs = 0;
    const endUs = this.nowUs + durationUs;
    for (let dueUs = this.nowUs + gapUs; dueUs <= endUs; dueUs = this.nowUs + gapUs) this.#untilFound(dueUs);
    return this;
  }

  #untilFound(dueUs: number): void {
    for (;;) {
      const begunUs = this.nowUs;
      const isLook = this.#spin.mayLook(begunUs);
      if (isLook) this.#pass(this.lookUs, true);
      else {
        if (begunUs < dueUs) this.wakeUps += 1;
        this.#pass(Math.max(LOOK_US, dueUs - begunUs), false);
      }
      const hasWorked = this.nowUs >= dueUs;
      this.#spin.note(begunUs, this.nowUs, isLook, hasWorked);
      if (hasWorked) return;
    }
  }

  #pass(us: number, isSpinning: boolean): void {
    this.nowUs += us;
    this.#idleUs += us * (isSpinning ? Math.max(0, this.free - 1) : this.free);
    if (isSpinning) this.spunUs += us;
  }
}

describe("looking on instead of sleeping", () => {
  test("a worker on a machine with free processors is not woken for packets that come soon", () => {
    const machine = new Machine();
    machine.run(50, SECOND_US / 5); // finds out
    expect(machine.run(50, SECOND_US).wakeUps).toBe(0);
  });

  test("spinning is no reason to think that processors are scarce", () => {
    const machine = new Machine();
    machine.free = 2;
    machine.run(50, SECOND_US / 5);
    expect(machine.run(50, SECOND_US).wakeUps).toBe(0);
  });

  test.each([0, 0.5, 1, 1.9])("with %s free processors it sleeps as ever", (free) => {
    const machine = new Machine();
    machine.free = free;
    expect(machine.run(50, SECOND_US).spunUs).toBe(0);
  });

  test("where the kernel does not tell which are free, it sleeps as ever", () => {
    expect(new Machine(false).run(50, SECOND_US).spunUs).toBe(0);
  });

  test("within a tenth of a second it leaves processors to others that want them, and takes to them again", () => {
    const machine = new Machine();
    machine.run(50, SECOND_US);
    machine.free = 1;
    machine.run(50, SECOND_US / 10);
    expect(machine.run(50, SECOND_US).spunUs).toBe(0);
    machine.free = 4;
    machine.run(50, SECOND_US / 10);
    expect(machine.run(50, SECOND_US).wakeUps).toBe(0);
  });

  test("packets that come too seldom to be met are soon waited for asleep", () => {
    const machine = new Machine();
    machine.run(400, 20 * SECOND_US);
    expect(machine.run(400, 20 * SECOND_US).spunUs).toBeLessThan(0.02 * 20 * SECOND_US);
  });

  test("soon after packets come faster again, it meets them", () => {
    const machine = new Machine();
    machine.run(400, 20 * SECOND_US);
    machine.run(50, 11 * SECOND_US);
    expect(machine.run(50, SECOND_US).wakeUps).toBe(0);
  });

  test("a few packets a second are no evidence: the next ones that come fast are met at once", () => {
    const machine = new Machine();
    machine.run(SECOND_US / 10, 20 * SECOND_US);
    machine.run(50, SECOND_US / 10);
    expect(machine.run(50, SECOND_US).wakeUps).toBe(0);
  });

  test("without packets it looks on for 200 µs and no longer", () => {
    const machine = new Machine();
    machine.run(50, SECOND_US);
    const { spunUs, wakeUps } = machine.run(10 * SECOND_US, 10 * SECOND_US);
    expect(wakeUps).toBe(1);
    expect(spunUs).toBeLessThanOrEqual(200 + LOOK_US);
  });

  test("a processor that is taken away during looks, as by a quota, is spun on no more for a while", () => {
    const machine = new Machine();
    machine.run(50, SECOND_US);
    machine.lookUs = 3000;
    machine.run(4000, 20 * SECOND_US);
    expect(machine.run(4000, 20 * SECOND_US).spunUs).toBeLessThan(0.01 * 20 * SECOND_US);
    machine.lookUs = LOOK_US;
    machine.run(50, 11 * SECOND_US);
    expect(machine.run(50, SECOND_US).wakeUps).toBe(0);
  });
});
