// Program: `bulk.js ADDRESS` sends a key stream to the sink at ADDRESS over one TCP connection until its input ends.
import { setTimeout as pause } from "node:timers/promises";
import { KeyStream } from "../../src/lab/key-stream.ts";
import type { BulkResult } from "./protocol.ts";

const CHUNK_BYTES = 256 * 1024;
/** So that the other streams get their part of the machine. */
const PAUSE_MS = 5;

const [address = ""] = process.argv.slice(2);
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
  await pause(PAUSE_MS);
}
const result: BulkResult = { sentBytes, ...(await stream.end()) };
process.stdout.write(`${JSON.stringify(result)}\n`);
