// A worker that is ended from outside at any moment: its engine opens, answers, closes and sweeps flows without end, as
// long as the gate is open.
import { parentPort, workerData } from "node:worker_threads";
import * as WorkerLayout from "../../../dist/assembly/shared/layout/worker.js";
import { instantiateEngine } from "../../../dist/src/dataplane/modules/wasm.js";

const { memory, module, worker, workersAt, frames, batch, gate } = workerData;
const workerAt = workersAt + worker * WorkerLayout.SIZE;
const bytes = new Uint8Array(memory.buffer);
const view = new DataView(memory.buffer);
const engine = instantiateEngine(module, memory, () => Math.floor(Math.random() * 3));
engine.attach(worker, 0n);
parentPort.postMessage("ready");
const startedUs = performance.timeOrigin * 1000;
for (let round = 0; ; round++) {
  Atomics.wait(gate, 0, 0);
  for (let slot = 0; slot < batch; slot++) {
    const frame = frames[Math.floor(Math.random() * frames.length)];
    bytes.set(frame, workerAt + WorkerLayout.TUN_SLOTS + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM);
    view.setUint32(workerAt + WorkerLayout.TUN_LENGTHS + 4 * slot, frame.length, true);
  }
  const nowUs = startedUs + performance.now() * 1000;
  for (let first = 0; first < batch; ) first = engine.egress(first, batch, nowUs);
  if (round % 4 === 0) engine.sweep(nowUs, 100);
}
