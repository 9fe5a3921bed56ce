// Stands for the data plane's worker: behaves as the memory's word at 0 says, which it counts down.
import { parentPort, workerData } from "node:worker_threads";

const { memory, worker, stop } = workerData;
const [FAILURES, STARTS, MODE] = [0, 1, 2];
const words = new Int32Array(memory.buffer);
const stopWord = new Int32Array(stop);
Atomics.add(words, STARTS, 1);

const failsAtStart = words[MODE] === 1 || (words[MODE] === 3 && worker === 1);
if (failsAtStart) {
  parentPort.postMessage({ type: "failed", code: "tun-unavailable", message: `Worker ${worker} cannot start.` });
} else {
  parentPort.postMessage({ type: "ready" });
  if (Atomics.sub(words, FAILURES, 1) > 0) throw new Error("an accident");
  if (words[MODE] === 2) for (;;); // never looks at the stop word
  while (Atomics.load(stopWord, 0) === 0) Atomics.wait(stopWord, 0, 0, 10);
  parentPort.postMessage({ type: "stopped" });
}
