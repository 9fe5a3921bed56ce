// Program: `stream-receiver.js` takes the numbered datagrams of a stream-sender until its input ends and nothing comes any
// more, and tells whether they came in order and what the longest times between two arrivals were. It is open longer than
// the stream: for a datagram to a closed socket, the kernel would send an ICMP error.
import { Poller } from "../../src/sys/poll.ts";
import { DatagramSocket } from "../path/datagram-socket.ts";
import { LISTENING } from "../path/tool-protocol.ts";
import { ACKNOWLEDGED_EVERY, END_MARK, STREAM_PORT, type StreamReceived } from "./protocol.ts";

const TIMEOUT_MS = 100;
const WAIT_MS = 100;
/** Longer than a datagram is on its way. */
const QUIET_MS = 1000;
const GAPS_KEPT = 20;

const socket = new DatagramSocket(STREAM_PORT, TIMEOUT_MS);
const poller = new Poller([socket.fd]);
let isEnding = false;
process.stdin.resume().on("end", () => {
  isEnding = true;
});
process.stdout.write(LISTENING);

let next = 0;
let packets = 0;
let misplaced = 0;
let arrivedMs = 0;
let gapsMs: number[] = [];

function noteGap(nowMs: number): void {
  if (packets > 0) gapsMs.push(nowMs - arrivedMs);
  if (gapsMs.length > 1000) gapsMs = longest(gapsMs);
  arrivedMs = nowMs;
}

function longest(gaps: readonly number[]): number[] {
  return [...gaps].sort((a, b) => b - a).slice(0, GAPS_KEPT);
}

/** False: the stream has ended. */
function take(mark: number): boolean {
  if (mark === END_MARK) return false;
  if (mark !== next) misplaced += 1;
  next = mark + 1;
  packets += 1;
  return true;
}

let isOpen = true;
let heardMs = performance.now();
while (!isEnding || performance.now() - heardMs < QUIET_MS) {
  if (poller.wait(WAIT_MS) === 0) {
    await new Promise((resolve) => setImmediate(resolve)); // whether the input ended
    continue;
  }
  for (let count = socket.receiveWaiting(); count > 0; count = socket.receiveWaiting()) {
    heardMs = performance.now();
    if (!isOpen) continue;
    noteGap(heardMs);
    const first = next;
    for (let i = 0; i < count && isOpen; i++) isOpen = take(socket.markOf(i));
    if (Math.floor(next / ACKNOWLEDGED_EVERY) > Math.floor(first / ACKNOWLEDGED_EVERY)) {
      socket.setMark(next - 1);
      socket.send(1);
    }
  }
}
const received: StreamReceived = { packets, misplaced, longestGapsMs: longest(gapsMs) };
process.stdout.write(`${JSON.stringify(received)}\n`, () => process.exit());
