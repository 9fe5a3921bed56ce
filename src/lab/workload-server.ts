// Program: `workload-server.js NAME` answers for one instance in its workload: HTTP and UDP on SERVICE_PORT, and a sink
// on SINK_PORT. Prints "ready" when all of them listen.
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { SERVICE_PORT, SINK_PORT, type WorkloadAnswer } from "./workload-protocol.ts";

const KEEP_ALIVE_MS = 600_000; // no test's pause between two requests ends a connection
const BACKLOG = 1024;

const instance = process.argv[2] ?? "unnamed";

const http = createHttpServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
  const { remoteAddress = "", remotePort = 0, localAddress = "" } = request.socket;
  const answer: WorkloadAnswer = {
    instance,
    source: plain(remoteAddress),
    sourcePort: remotePort,
    local: plain(localAddress),
    echo: decodeURIComponent(request.url?.slice(1) ?? ""),
  };
  response.setHeader("content-type", "application/json").end(`${JSON.stringify(answer)}\n`);
});

const udp = createSocket("udp6", (message, { address, port }) => {
  const answer: WorkloadAnswer = {
    instance,
    source: plain(address),
    sourcePort: port,
    local: "",
    echo: message.toString(),
  };
  udp.send(JSON.stringify(answer), port, address);
});

const sink = createServer({ allowHalfOpen: true }, (connection) => {
  const hash = createHash("sha256");
  connection.on("data", (chunk) => hash.update(chunk));
  connection.on("end", () => connection.end(hash.digest("hex")));
  connection.on("error", () => connection.destroy());
});

// "::" serves both families; IPv4 peers then show as v4-mapped.
http.listen(SERVICE_PORT, "::", BACKLOG);
sink.listen(SINK_PORT, "::");
udp.bind(SERVICE_PORT, "::");
await Promise.all([once(http, "listening"), once(sink, "listening"), once(udp, "listening")]);
process.stdout.write("ready\n");

function plain(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
