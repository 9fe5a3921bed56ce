// Threads started, ended and restarted: with a toy worker, and with the real one on a real TUN.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as HeaderLayout from "../../../../assembly/shared/layout/header.ts";
import { Region } from "../../../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../../../assembly/shared/layout/worker.ts";
import { SpareThread } from "../../../../src/dataplane/worker/spare-thread.ts";
import { type Overdue, Supervisor, type SupervisorOptions } from "../../../../src/dataplane/worker/supervisor.ts";
import type { WorkerEnd } from "../../../../src/dataplane/worker/worker-thread.ts";
import { runInNamespace, tunProblem } from "../../../support/namespace.ts";

const TOY = new URL("./toy-worker.mjs", import.meta.url);
const AREAS_AT = 65536;
/** Words of the memory that tell toy-worker.mjs what to do. */
const FAILURES = 0; // starts that end by an accident, once ready
const STARTS = 1; // counted by the toy
const MODE = 2;
const FAILS_AT_START = 1;
const NEVER_STOPS = 2;
const SECOND_FAILS_AT_START = 3;
const SECOND_REFUSES_ORDERS = 4; // as many as FAILURES says
const HANGS_IN_POLICY = 5; // when it gets the one that is called "endless"
const ENGINES_AT = 16; // per worker: exports of the engine that it runs

interface Toy {
  readonly words: Int32Array;
  readonly ends: WorkerEnd[];
  start(options?: Partial<SupervisorOptions>): Promise<Supervisor>;
  /** Exports of the engine that each worker runs. */
  engines(): number[];
  /** Resolves when `count` ends were reported. */
  ended(count: number): Promise<void>;
}

function createToy(workers = 1): Toy {
  const pages = (AREAS_AT + workers * WorkerLayout.SIZE) / 65536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const words = new Int32Array(memory.buffer);
  words[(HeaderLayout.AT + HeaderLayout.REGIONS + 4 * Region.workers) >> 2] = AREAS_AT;
  const ends: WorkerEnd[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  return {
    words,
    ends,
    engines: () => [...words.subarray(ENGINES_AT, ENGINES_AT + workers)],
    start: async (options = {}) => {
      const supervisor = await Supervisor.start({
        memory,
        engine: moduleWith(1),
        policies: [],
        queues: Array.from({ length: workers }, () => ({ tunFd: -1, udpFd: -1 })),
        onWorkerEnd: (end) => {
          ends.push(end);
          for (const { count, resolve } of waiting) if (ends.length >= count) resolve();
        },
        workerFile: TOY,
        ...options,
      });
      onTestFinished(() => supervisor.close());
      return supervisor;
    },
    ended: (count) =>
      new Promise((resolve) => {
        waiting.push({ count, resolve });
        if (ends.length >= count) resolve();
      }),
  };
}

/** A module that exports so many functions, which do nothing. */
function moduleWith(exportCount: number): WebAssembly.Module {
  const exports = Array.from({ length: exportCount }, (_, i) => [1, 0x61 + i, 0, 0]).flat();
  return new WebAssembly.Module(
    Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...[1, 4, 1, 0x60, 0, 0], // a type without parameters and results
      ...[3, 2, 1, 0], // a function of it
      ...[7, exports.length + 1, exportCount, ...exports],
      ...[10, 4, 1, 2, 0, 0x0b], // its body
    ]),
  );
}

test("all workers are started, and stopped when it is closed, twice without harm", async () => {
  const toy = createToy(3);
  const supervisor = await toy.start();
  expect(toy.words[STARTS]).toBe(3);
  await supervisor.close();
  await supervisor.close();
  expect(toy.ends).toEqual([]);
});

test("the first worker takes the spare thread, once", async () => {
  const spare = new SpareThread(TOY);
  const toy = createToy(2);
  toy.words[FAILURES] = 1;
  await toy.start({ spare });
  expect(spare.take()).toBeUndefined();
  await toy.ended(1);
  await expect.poll(() => toy.words[STARTS]).toBe(3);
});

test("a spare thread that ended is nobody's, and one that is closed ends", async () => {
  const ended = new SpareThread(new URL("file:///nowhere.mjs"));
  await expect.poll(() => ended.isThere).toBe(false);
  await createToy().start({ spare: ended });
  const spare = new SpareThread(TOY);
  await spare.close();
  expect(spare.take()).toBeUndefined();
});

test("a spare thread is not ended while it loads: native code that is being bound would abort the process", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sapwood-spare-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const loaded = join(folder, "loaded");
  const script = join(folder, "slow.mjs");
  const lines = [
    `import { writeFileSync } from "node:fs";`,
    `import { parentPort } from "node:worker_threads";`,
    `const endMs = performance.now() + 500;`,
    `while (performance.now() < endMs);`,
    `writeFileSync(${JSON.stringify(loaded)}, "");`,
    `parentPort.once("message", () => {});`,
  ];
  writeFileSync(script, lines.join("\n"));
  await new SpareThread(pathToFileURL(script)).close();
  expect(existsSync(loaded)).toBe(true);
});

test.each([
  ["the only one", FAILS_AT_START, 1, 0],
  ["one of two", SECOND_FAILS_AT_START, 2, 1],
])("when %s cannot start, its sentence is thrown", async (_what, mode, workers, failing) => {
  const toy = createToy(workers);
  toy.words[MODE] = mode;
  await expect(toy.start()).rejects.toMatchObject({
    code: "tun-unavailable",
    message: `Worker ${failing} cannot start.`,
  });
  expect(toy.ends).toEqual([]);
});

test("a worker that ends by itself is reported and started again", async () => {
  const toy = createToy();
  toy.words[FAILURES] = 1;
  await toy.start();
  await toy.ended(1);
  expect(toy.ends[0]).toMatchObject({ worker: 0, restartInMs: 100 });
  expect(toy.ends[0]?.error.message).toBe("Worker 0 failed: Error: an accident.");
  await expect.poll(() => toy.words[STARTS]).toBe(2);
});

test("a worker that ends again and again is given up after three restarts, each later than the one before", async () => {
  const toy = createToy();
  toy.words[FAILURES] = 100;
  await toy.start();
  await toy.ended(4);
  expect(toy.ends.map(({ restartInMs }) => restartInMs)).toEqual([100, 400, 1600, undefined]);
  expect(toy.words[STARTS]).toBe(4);
});

test("a worker that cannot start any more counts as ended", async () => {
  const toy = createToy();
  toy.words[FAILURES] = 1;
  await toy.start();
  toy.words[MODE] = FAILS_AT_START;
  await toy.ended(2);
  expect(toy.ends[1]).toMatchObject({ restartInMs: 400 });
  expect(toy.ends[1]?.error.message).toBe("Worker 0 cannot start.");
});

test("closing before a restart is due prevents it", async () => {
  const toy = createToy();
  toy.words[FAILURES] = 1;
  const supervisor = await toy.start();
  await toy.ended(1);
  await supervisor.close();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(toy.words[STARTS]).toBe(1);
});

test("a worker that does not stop is terminated", async () => {
  const toy = createToy();
  toy.words[MODE] = NEVER_STOPS;
  const supervisor = await toy.start();
  await supervisor.close();
  expect(toy.ends).toEqual([]);
});

test.each([
  [7, 8],
  [8, 8],
])("a worker that died with sequence %i is left with %i, so that control does not wait for it", async (died, left) => {
  const toy = createToy();
  const sequenceAt = (AREAS_AT + WorkerLayout.SEQUENCE) >> 2;
  toy.words[sequenceAt] = died;
  toy.words[FAILURES] = 1;
  await toy.start();
  await toy.ended(1);
  expect(toy.words[sequenceAt]).toBe(left);
});

describe("a module that is handed over", () => {
  test("is there in all workers when that is answered, and in those that start later", async () => {
    const toy = createToy(3);
    const supervisor = await toy.start();
    expect(toy.engines()).toEqual([1, 1, 1]);
    const { pauseMs } = await supervisor.handEngine(moduleWith(2));
    expect(toy.engines()).toEqual([2, 2, 2]);
    expect(pauseMs).toBe(1);
  });

  test("that one worker cannot take is taken back from the others", async () => {
    const toy = createToy(3);
    const supervisor = await toy.start();
    Object.assign(toy.words, { [MODE]: SECOND_REFUSES_ORDERS, [FAILURES]: 1 });
    await expect(supervisor.handEngine(moduleWith(2))).rejects.toMatchObject({
      code: "module-refused",
      message: "A worker could not start the module: no room",
    });
    expect(toy.engines()).toEqual([1, 1, 1]);
  });

  test("while no worker is there waits for none, and the next one starts with it", async () => {
    const toy = createToy();
    toy.words[FAILURES] = 1;
    const supervisor = await toy.start();
    await toy.ended(1);
    await supervisor.handEngine(moduleWith(2));
    expect(toy.engines()).toEqual([1]);
    await expect.poll(() => toy.engines()).toEqual([2]);
  });
});

test("a worker for which the machine has no thread any more is tried again, each time later", async () => {
  const toy = createToy();
  const workerFile = new URL("./toy-worker.mjs", import.meta.url);
  toy.words[FAILURES] = 1;
  await toy.start({ workerFile });
  workerFile.pathname = "/no%2Fpath"; // Worker() throws, as it does for lack of a thread
  await toy.ended(2);
  expect(toy.ends.map(({ restartInMs }) => restartInMs)).toEqual([100, 400]);
  expect(toy.ends[1]?.error.message).toMatch(/^Worker 0 cannot be started: .*\.$/);
});

describe("a call that does not return", () => {
  const endless = { slot: 9, name: "endless", module: moduleWith(1) };

  test("ends the worker, which starts again at once with what was handed over meanwhile", async () => {
    const toy = createToy();
    toy.words[MODE] = HANGS_IN_POLICY;
    const overdue: Overdue[] = [];
    const supervisor = await toy.start({
      onOverdue: (one) => {
        overdue.push(one);
        void supervisor.handEngine(moduleWith(3));
        return true;
      },
    });
    await supervisor.handPolicy(endless);
    await toy.ended(1);
    expect(overdue).toEqual([{ worker: 0, slot: 9, times: 1 }]);
    expect(toy.ends[0]).toMatchObject({ worker: 0, restartInMs: 0 });
    expect(toy.ends[0]?.error.message).toBe('The policy "endless" did not return in time.');
    await expect.poll(() => toy.engines()).toEqual([3]);
    expect(toy.words[STARTS]).toBe(2);
  });

  test("in two workers at once ends both, though only the first one is asked about", async () => {
    const toy = createToy(2);
    toy.words[MODE] = HANGS_IN_POLICY;
    const overdue: Overdue[] = [];
    const supervisor = await toy.start({
      onOverdue: (one) => {
        overdue.push(one);
        void supervisor.handPolicy({ ...endless, name: "before" });
        return overdue.length === 1;
      },
    });
    await supervisor.handPolicy(endless);
    await toy.ended(2);
    expect(overdue).toHaveLength(1);
    expect(toy.ends.map(({ restartInMs }) => restartInMs)).toEqual([0, 0]);
    await expect.poll(() => toy.words[STARTS]).toBe(4);
  });

  test("is left alone when it shall be", async () => {
    const toy = createToy();
    toy.words[MODE] = HANGS_IN_POLICY;
    const asked = new Promise<Overdue>((resolve) => {
      void toy
        .start({
          policyTimeMs: 5,
          onOverdue: (one) => {
            resolve(one);
            return false;
          },
        })
        .then((supervisor) => void supervisor.handPolicy(endless));
    });
    expect(await asked).toEqual({ worker: 0, slot: 9, times: 1 });
    expect(toy.ends).toEqual([]);
  });

  test("is asked about again each time that its limit has passed, and starts a worker of the same modules", async () => {
    const toy = createToy();
    toy.words[MODE] = HANGS_IN_POLICY;
    const times: number[] = [];
    const supervisor = await toy.start({
      policyTimeMs: 5,
      onOverdue: (one) => {
        times.push(one.times);
        return one.times === 3;
      },
    });
    await supervisor.handPolicy(endless);
    await toy.ended(1);
    expect(times).toEqual([1, 2, 3]);
    expect(toy.ends[0]).toMatchObject({ worker: 0, restartInMs: 100 });
    await expect.poll(() => toy.words[STARTS]).toBe(2);
  });
});

test("a worker that ends by itself starts at once when another engine was handed over because of it", async () => {
  const toy = createToy(2);
  const failures: string[] = [];
  const supervisor = await toy.start({
    onEngineFailed: (error) => {
      failures.push(error.message);
      void supervisor.handEngine(moduleWith(2));
      return true;
    },
  });
  await supervisor.handPolicy({ slot: 9, name: "fatal", module: undefined });
  await toy.ended(1);
  expect(toy.ends).toMatchObject([{ worker: 0, restartInMs: 0 }]);
  expect(failures).toEqual(["Worker 0 failed: Error: an accident."]);
  await expect.poll(() => toy.engines()).toEqual([2, 2]);
});

test.skipIf(tunProblem !== undefined)(
  "a worker that hangs in the engine of the package is ended, and the next one serves on the same descriptors",
  { timeout: 300_000 },
  () => {
    const script = new URL("./in-namespace/hung-worker.mjs", import.meta.url);
    expect(runInNamespace(script)).toEqual({
      before: "before",
      times: [1, 2],
      ends: [{ message: "The engine did not return in time.", restartInMs: 100 }],
      after: "after",
    });
  },
);

interface ProxyResults {
  readonly local: readonly unknown[];
  readonly remote: unknown;
  readonly counters: Readonly<Record<string, number>>;
  readonly ends: readonly { readonly worker: number; readonly message: string; readonly restartInMs?: number }[];
  readonly closeFailures: readonly unknown[];
}

describe.skipIf(tunProblem !== undefined).each([1, 2])(
  `on a real TUN with %i queues${tunProblem ? ` (${tunProblem})` : ""}`,
  (workers) => {
    let results: ProxyResults;

    beforeAll(() => {
      const script = new URL("./in-namespace/proxy.mjs", import.meta.url);
      results = runInNamespace(script, String(workers)) as ProxyResults;
    });

    test("local workloads reach each other by service and by instance address", () => {
      expect(results.local).toEqual([
        { text: "to ::ffff:10.30.0.5", from: "10.30.0.1" },
        { text: "to fdff::5", from: "fdff:2000::1" },
        { text: "to ::ffff:10.30.0.5", from: "10.30.0.3" },
      ]);
    });

    test("a workload of another node answers through the tunnel", () => {
      expect(results.remote).toEqual({
        payload: "over the tunnel",
        from: "10.30.0.2:7777",
        inner: [{ source: "10.30.0.5", destination: "10.21.3.2" }],
      });
    });

    test("counts what it did", () => {
      expect(results.counters).toMatchObject({ egressPackets: 1, ingressPackets: 1, policyChoices: 3 });
      expect(results.counters.probesSent).toBeGreaterThanOrEqual(1);
      expect(Object.keys(results.counters).filter((name) => name.startsWith("ingress."))).toEqual([]);
    });

    test("without its device each worker ends, is restarted three times and stays down", () => {
      for (let worker = 0; worker < workers; worker++) {
        const ends = results.ends.filter((end) => end.worker === worker);
        expect(ends.map(({ restartInMs }) => restartInMs)).toEqual([100, 400, 1600, undefined]);
        expect(ends[0]?.message).toBe("Reading the TUN failed with EBADFD: the device was deleted.");
      }
    });

    test("closing leaves nothing behind", () => {
      expect(results.closeFailures).toEqual([]);
    });
  },
);
