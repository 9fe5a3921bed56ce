// Program: `flood-sender.js ADDRESS SECONDS FLOWS SIZE` sends datagrams of SIZE bytes to ADDRESS as fast as the machine
// takes them, of one flow after another, from a socket each.
import { writeSync } from "node:fs";
import { BATCH_SIZE, DatagramSocket } from "./datagram-socket.ts";
import { type FloodSent, TOOL_PORT } from "./tool-protocol.ts";

const STDOUT = 1;
const TIMEOUT_MS = 100;

const [address = "", seconds = "", flows = "", size = ""] = process.argv.slice(2);
const sockets = Array.from({ length: Number(flows) }, () => new DatagramSocket(0, TIMEOUT_MS, Number(size)));
for (const socket of sockets) socket.setPeer(address, TOOL_PORT);
const each = Math.max(1, Math.floor(BATCH_SIZE / sockets.length));

const startMs = performance.now();
const endMs = startMs + Number(seconds) * 1000;
let packets = 0;
let nowMs = startMs;
while (nowMs < endMs) {
  for (const socket of sockets) packets += socket.send(each);
  nowMs = performance.now();
}
const sent: FloodSent = { packetsPerSecond: (packets / (nowMs - startMs)) * 1000 };
writeSync(STDOUT, `${JSON.stringify(sent)}\n`);
