// The gate between two breaths: who waits at it and who passes, in threads that share its word.
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { Gate } from "../../../../src/dataplane/worker/gate.ts";

const GATE = new URL("../../../../dist/src/dataplane/worker/gate.js", import.meta.url);

/** Waits at the gate as a worker does; says how often it looked when it was let through. */
const PASSER = `
  import { parentPort, workerData } from "node:worker_threads";
  const { Gate } = await import(workerData.file);
  const gate = new Gate(workerData.buffer);
  let looks = 1;
  parentPort.postMessage("waits");
  while (!gate.isOpenSoon()) looks += 1;
  parentPort.postMessage({ looks });
`;

function startPasser(gate: Gate): Worker {
  const url = new URL(`data:text/javascript,${encodeURIComponent(PASSER)}`);
  const passer = new Worker(url, { workerData: { file: GATE.href, buffer: gate.buffer } });
  onTestFinished(() => void passer.terminate());
  return passer;
}

test("an open gate lets through at once, a shut one for no longer than a worker may wait for orders", () => {
  const gate = Gate.create(true);
  expect(gate.isOpenSoon()).toBe(true);
  gate.shut();
  const startMs = performance.now();
  expect(gate.isOpenSoon()).toBe(false);
  expect(performance.now() - startMs).toBeGreaterThan(1); // it slept, instead of spinning
  gate.open();
  expect(gate.isOpenSoon()).toBe(true);
});

test("a gate is made open or shut, and is shut or opened twice without harm", () => {
  const gate = Gate.create(false);
  gate.shut();
  expect(gate.isOpenSoon()).toBe(false);
  gate.open();
  gate.open();
  expect(gate.isOpenSoon()).toBe(true);
});

test("all threads that wait at a gate are let through when it opens, also by another one on the same word", async () => {
  const gate = Gate.create(false);
  const passers = [startPasser(gate), startPasser(gate)];
  await Promise.all(passers.map((passer) => once(passer, "message")));
  expect(gate.isOpenSoon()).toBe(false);
  const passed = passers.map((passer) => once(passer, "message"));
  new Gate(gate.buffer).open();
  for (const [{ looks }] of await Promise.all(passed)) expect(looks).toBeGreaterThan(0);
});
