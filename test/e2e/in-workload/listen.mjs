// Program: `listen.mjs PORT` prints "ready", then a line for each datagram that comes: its source and its text, as JSON.
import { createSocket } from "node:dgram";
import { once } from "node:events";

const socket = createSocket("udp6");
socket.on("message", (message, { address }) => {
  const from = address.replace(/^::ffff:/, "");
  process.stdout.write(`${JSON.stringify({ from, text: message.toString() })}\n`);
});
socket.bind(Number(process.argv[2]), "::");
await once(socket, "listening");
process.stdout.write("ready\n");
