// Program: `flood-sender.js ADDRESS SECONDS` sends datagrams to ADDRESS as fast as the machine takes them.
import { writeSync } from "node:fs";
import { BATCH_SIZE, DatagramSocket } from "./datagram-socket.ts";
import { type FloodSent, TOOL_PORT } from "./tool-protocol.ts";

const STDOUT = 1;
const TIMEOUT_MS = 100;

const [address = "", seconds = ""] = process.argv.slice(2);
const socket = new DatagramSocket(0, TIMEOUT_MS);
socket.setPeer(address, TOOL_PORT);

const startMs = performance.now();
const endMs = startMs + Number(seconds) * 1000;
let packets = 0;
let nowMs = startMs;
while (nowMs < endMs) {
  packets += socket.send(BATCH_SIZE);
  nowMs = performance.now();
}
const sent: FloodSent = { packetsPerSecond: (packets / (nowMs - startMs)) * 1000 };
writeSync(STDOUT, `${JSON.stringify(sent)}\n`);
