// Program: `stream-sender.js ADDRESS RATE` sends numbered datagrams to ADDRESS, RATE a millisecond, until its input ends.
// Not more are under way than the queues between here and there hold, so that none is lost because the machine is busy.
import { setTimeout as pause } from "node:timers/promises";
import { DatagramSocket } from "../path/datagram-socket.ts";
import { ACKNOWLEDGED_EVERY, END_MARK, STREAM_PORT, type StreamSent } from "./protocol.ts";

const UNDER_WAY_MAX = 400; // less than a TUN or a socket queues
/**
 * A TUN with several queues moves a flow to the one that its first answer was written to, and what waits in the other
 * one is overtaken. So nothing is under way when the first acknowledgement comes; should it get lost, this is the wait.
 */
const FIRST_ACKNOWLEDGEMENT_MS = 10_000;
const TIMEOUT_MS = 100;
const END_REPEATS = 50;

const [address = "", rate] = process.argv.slice(2);
const perMs = Number(rate);
const socket = new DatagramSocket(0, TIMEOUT_MS);
socket.setPeer(address, STREAM_PORT);

let isEnding = false;
process.stdin.resume().on("end", () => {
  isEnding = true;
});

const startMs = performance.now();
let next = 0;
let acknowledged = 0;
let dueFromMs = startMs; // when datagram 0 would have been due at the present rhythm

/** Whatever is received lies where the mark to be sent is, so this comes before sending. */
function takeAcknowledgements(): void {
  for (let count = socket.receiveWaiting(); count > 0; count = socket.receiveWaiting()) {
    acknowledged = Math.max(acknowledged, socket.markOf(count - 1) + 1);
  }
}

while (!isEnding) {
  takeAcknowledgements();
  const nowMs = performance.now();
  const due = Math.floor((nowMs - dueFromMs) * perMs);
  const isSettled = acknowledged > 0 || nowMs - startMs > FIRST_ACKNOWLEDGEMENT_MS;
  const last = Math.min(due, acknowledged + (isSettled ? UNDER_WAY_MAX : ACKNOWLEDGED_EVERY));
  for (; next < last; next++) {
    socket.setMark(next);
    if (socket.send(1) !== 1) break;
  }
  if (due > next) dueFromMs = nowMs - next / perMs; // what could not be sent in time is not caught up
  await pause(1);
}
const endMs = performance.now() + TIMEOUT_MS * END_REPEATS;
while (acknowledged < next - (next % ACKNOWLEDGED_EVERY) && performance.now() < endMs) {
  takeAcknowledgements();
  await pause(1);
}
for (let i = 0; i < END_REPEATS; i++) {
  socket.setMark(END_MARK);
  socket.send(1);
  await pause(1);
}
const sent: StreamSent = { packets: next, seconds: (performance.now() - startMs) / 1000 };
process.stdout.write(`${JSON.stringify(sent)}\n`);
