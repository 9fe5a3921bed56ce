// Program: `echo-client.js ADDRESS SECONDS` sends a datagram to ADDRESS, waits for its echo, and so on: a closed loop
// of one. Blocking calls on both sides, so that the round trip has two wake-ups of a process in it and no event loop.
import { writeSync } from "node:fs";
import { quantile } from "../statistics.ts";
import { DatagramSocket } from "./datagram-socket.ts";
import { type EchoResult, TOOL_PORT } from "./tool-protocol.ts";

const STDOUT = 1;
const TIMEOUT_MS = 200;
const WARM_UP_MS = 300; // both compilers of V8 have optimised by then, here and in a proxy
const SAMPLES_MAX = 1_000_000;

const [address = "", seconds = ""] = process.argv.slice(2);
const socket = new DatagramSocket(0, TIMEOUT_MS);
socket.setPeer(address, TOOL_PORT);
const samplesMs = new Float64Array(SAMPLES_MAX);
let mark = 0;

measureUntil(performance.now() + WARM_UP_MS);
const { count, lost } = measureUntil(performance.now() + Number(seconds) * 1000);
const sorted = samplesMs.subarray(0, count).sort();
const result: EchoResult = {
  roundTrips: count,
  lost,
  p50Us: quantile(sorted, 0.5) * 1000,
  p99Us: quantile(sorted, 0.99) * 1000,
  p999Us: quantile(sorted, 0.999) * 1000,
};
writeSync(STDOUT, `${JSON.stringify(result)}\n`);

function measureUntil(endMs: number): { count: number; lost: number } {
  let count = 0;
  let lost = 0;
  let startMs = performance.now();
  while (startMs < endMs && count < SAMPLES_MAX) {
    socket.setMark(++mark);
    socket.send(1);
    // The echo of one that had been given up may still come.
    let came = socket.receiveOne();
    while (came && socket.mark !== mark) came = socket.receiveOne();
    const nowMs = performance.now();
    if (came) samplesMs[count++] = nowMs - startMs;
    else lost += 1;
    startMs = nowMs;
  }
  return { count, lost };
}
