// Program: `spoof.mjs SOURCE SOURCE_PORT DESTINATION PORT` sends each line of its input, bytes in hex or "-" for none,
// as a datagram from an address that the namespace has, and prints "sent". When it is told to end, it prints how many it
// sent, and how many came back.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createInterface } from "node:readline";

const [source, sourcePort, destination, port] = process.argv.slice(2);
const socket = createSocket(source.includes(":") ? "udp6" : "udp4");
let answers = 0;
socket.on("error", () => {});
socket.on("message", () => {
  answers += 1;
});
socket.bind(Number(sourcePort), source);
await once(socket, "listening");
let sent = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "") continue;
  const error = await new Promise((resolve) => {
    socket.send(Buffer.from(line === "-" ? "" : line, "hex"), Number(port), destination, resolve);
  });
  if (!error) sent += 1; // else the kernel refused it, or somebody told that he had refused one before
}
process.on("SIGTERM", () => {
  socket.close();
  process.stdout.write(`${JSON.stringify({ sent, answers })}\n`);
});
process.stdout.write("sent\n");
