// Program: `bulk.js ADDRESS PAUSE` sends a key stream to the sink at ADDRESS over one TCP connection until its input
// ends, and pauses for PAUSE milliseconds between two parts of it.
import { setTimeout as pause } from "node:timers/promises";
import { KeyStream } from "../../src/lab/key-stream.ts";
import type { BulkResult } from "./protocol.ts";

const CHUNK_BYTES = 256 * 1024;

const [address = "", pauseMs] = process.argv.slice(2);
let isEnding = false;
process.stdin.resume().on("end", () => {
  isEnding = true;
});

const zeros = Buffer.alloc(CHUNK_BYTES);
const stream = await KeyStream.open(address);
let sentBytes = 0;
while (!isEnding) {
  await stream.send(zeros);
  sentBytes += zeros.length;
  await pause(Number(pauseMs));
}
const result: BulkResult = { sentBytes, ...(await stream.end()) };
process.stdout.write(`${JSON.stringify(result)}\n`);
