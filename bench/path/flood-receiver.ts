// Program: `flood-receiver.js WARM_UP SECONDS` counts what arrives in a window of SECONDS that begins WARM_UP seconds
// after the first datagram, so that neither the start nor what queues hold at the end counts.
import { writeSync } from "node:fs";
import { Poller } from "../../src/sys/poll.ts";
import { DatagramSocket } from "./datagram-socket.ts";
import { busySeconds } from "./processor-time.ts";
import { type FloodReceived, LISTENING, TOOL_PORT } from "./tool-protocol.ts";

const STDOUT = 1;
const FIRST_TIMEOUT_MS = 10_000;
const WAIT_MS = 10;

const [warmUp = "", seconds = ""] = process.argv.slice(2);
const socket = new DatagramSocket(TOOL_PORT, FIRST_TIMEOUT_MS);
const poller = new Poller([socket.fd]);
writeSync(STDOUT, LISTENING);

if (socket.receiveOne()) {
  receiveUntil(performance.now() + Number(warmUp) * 1000);
  const startMs = performance.now();
  const startBusy = busySeconds();
  const packets = receiveUntil(startMs + Number(seconds) * 1000);
  const received: FloodReceived = {
    packets,
    seconds: (performance.now() - startMs) / 1000,
    busySeconds: busySeconds() - startBusy,
  };
  writeSync(STDOUT, `${JSON.stringify(received)}\n`);
} else {
  writeSync(2, `No datagram came within ${FIRST_TIMEOUT_MS} ms.\n`);
  process.exitCode = 1;
}

function receiveUntil(endMs: number): number {
  let packets = 0;
  while (performance.now() < endMs) {
    const count = socket.receiveWaiting();
    packets += count;
    if (count === 0) poller.wait(WAIT_MS);
  }
  return packets;
}
