// Program: `bulk.js ADDRESS` sends a key stream to the sink at ADDRESS over one TCP connection until its input ends.
import { createCipheriv, createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { SINK_PORT } from "../../src/lab/workload-protocol.ts";
import type { BulkResult } from "./protocol.ts";

const CHUNK_BYTES = 256 * 1024;
/** So that the other streams get their part of the machine. */
const PAUSE_MS = 5;

const [address = ""] = process.argv.slice(2);
let isEnding = false;
process.stdin.resume().on("end", () => {
  isEnding = true;
});

const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16));
const zeros = Buffer.alloc(CHUNK_BYTES);
const hash = createHash("sha256");
const connection = connect({ host: address, port: SINK_PORT });
let received = "";
connection.setEncoding("utf8").on("data", (text: string) => {
  received += text;
});
const closed = once(connection, "close");
await once(connection, "connect");
let sentBytes = 0;
while (!isEnding) {
  const chunk = cipher.update(zeros);
  hash.update(chunk);
  sentBytes += chunk.length;
  if (!connection.write(chunk)) await once(connection, "drain");
  await pause(PAUSE_MS);
}
connection.end();
await closed;
const result: BulkResult = { sentBytes, sent: hash.digest("hex"), received };
process.stdout.write(`${JSON.stringify(result)}\n`);
