// Program: `stream-sender.js ADDRESS PER_SECOND SECONDS` sends datagrams to ADDRESS at an even rate, each marked with
// when it was sent.
import { DatagramSocket } from "../path/datagram-socket.ts";
import { TOOL_PORT } from "../path/tool-protocol.ts";
import { monotonicUs } from "./windows.ts";

const TIMEOUT_MS = 100;

const [address = "", perSecond = "", seconds = ""] = process.argv.slice(2);
const socket = new DatagramSocket(0, TIMEOUT_MS);
socket.setPeer(address, TOOL_PORT);

const intervalUs = 1e6 / Number(perSecond);
const neverWoken = new Int32Array(new SharedArrayBuffer(4)); // its wait ends by microseconds, timers by milliseconds
const startUs = monotonicUs();
const endUs = startUs + Number(seconds) * 1e6;
for (let dueUs = startUs; dueUs < endUs; dueUs += intervalUs) {
  const leftUs = dueUs - monotonicUs();
  if (leftUs > 0) Atomics.wait(neverWoken, 0, 0, leftUs / 1000);
  socket.setMark(monotonicUs() % 2 ** 32);
  socket.send(1);
}
