// Program: `connection-server.js` gives each connection a byte and closes it, until it is ended.
import { writeSync } from "node:fs";
import { createServer } from "node:net";
import { LISTENING, TOOL_PORT } from "./tool-protocol.ts";

const STDOUT = 1;
const BACKLOG = 4096;

const server = createServer((socket) => {
  socket.on("error", () => socket.destroy()); // the client is gone
  socket.end("x");
});
server.listen({ port: TOOL_PORT, host: "::", backlog: BACKLOG }, () => writeSync(STDOUT, LISTENING));
