// Program: `connection-client.js ADDRESS SECONDS` opens connections to ADDRESS, AT_ONCE at a time, each as soon as the
// one before it in its place was closed by the server. So the ends of connections are part of it, and the server keeps
// what is left of them (TIME-WAIT).
import { writeSync } from "node:fs";
import { connect } from "node:net";
import { type ConnectionsMade, TOOL_PORT } from "./tool-protocol.ts";

const STDOUT = 1;
const AT_ONCE = 32;
const TIMEOUT_MS = 5_000;

const [host = "", seconds = ""] = process.argv.slice(2);
const startMs = performance.now();
const endMs = startMs + Number(seconds) * 1000;
let connections = 0;
let failed = 0;

await Promise.all(Array.from({ length: AT_ONCE }, openUntilEnd));
const made: ConnectionsMade = { connections, failed, seconds: (performance.now() - startMs) / 1000 };
writeSync(STDOUT, `${JSON.stringify(made)}\n`);

async function openUntilEnd(): Promise<void> {
  while (performance.now() < endMs) {
    if (await open()) connections += 1;
    else failed += 1;
  }
}

/** Whether the connection was opened and closed as it should. */
function open(): Promise<boolean> {
  return new Promise((resolve) => {
    let bytes = 0;
    const socket = connect({ host, port: TOOL_PORT, timeout: TIMEOUT_MS });
    socket.on("data", (data) => {
      bytes += data.length;
    });
    socket.on("timeout", () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", (hadError) => resolve(!hadError && bytes === 1));
  });
}
