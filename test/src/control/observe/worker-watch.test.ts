import { expect, test } from "vitest";
import { SapwoodError } from "../../../../src/base/errors.ts";
import { createLogger } from "../../../../src/base/log.ts";
import { WorkerWatch } from "../../../../src/control/observe/worker-watch.ts";

const ERROR = new SapwoodError("module-refused", "The engine failed.");

test("restarts are counted by worker and logged", () => {
  const lines: string[] = [];
  const watch = new WorkerWatch(2, createLogger("info", { write: (line) => void lines.push(line) }));
  watch.onEnd({ worker: 1, error: ERROR, restartInMs: 100 });
  watch.onEnd({ worker: 1, error: ERROR, restartInMs: 400 });
  expect(watch.restarts).toEqual([0, 2]);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ worker: 1, restartInMs: 100 }, { restartInMs: 400 }]);
});

test("a worker that stays down is the proxy's failure, with its reason", async () => {
  const watch = new WorkerWatch(1, createLogger("silent", { write: () => undefined }));
  watch.onEnd({ worker: 0, error: ERROR, restartInMs: undefined });
  await expect(watch.failure).rejects.toMatchObject({
    code: "module-refused",
    message: "Worker 0 failed too often and is not started again: The engine failed.",
  });
});
