// A thread that asks the control socket for the status all the time, until it is told to say how long the longest answer
// took. A thread of its own: what the benchmark itself computes meanwhile does not count.
import { setTimeout as pause } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { ask } from "./control-request.ts";

/** Between an answer and the next question. */
const LOOK_MS = 2;

const socket: string = workerData;
let isOver = false;
let longestMs = 0;
let mostBytes = 0; // of memory that the proxy says to have

parentPort?.once("message", () => {
  isOver = true;
});
await look(); // the thread's own first steps
parentPort?.postMessage("asking");
while (!isOver) {
  const startMs = performance.now();
  await look();
  longestMs = Math.max(longestMs, performance.now() - startMs);
  await pause(LOOK_MS);
}
parentPort?.postMessage({ longestMs, mostBytes });

async function look(): Promise<void> {
  const { memory } = JSON.parse((await ask(socket, "GET", "/v1/status")).toString());
  mostBytes = Math.max(mostBytes, memory.rssBytes);
}
