// Program: `spoof.mjs SOURCE SOURCE_PORT DESTINATION PORT [WAIT]` sends each line of its input, bytes in hex or "-" for
// none, as a datagram from an address that the namespace has, then prints how many it sent, and how many came back until
// WAIT milliseconds after the last one (1000).
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createInterface } from "node:readline";

const [source, sourcePort, destination, port, waitMs = "1000"] = process.argv.slice(2);
const socket = createSocket(source.includes(":") ? "udp6" : "udp4");
let answers = 0;
socket.on("message", () => {
  answers += 1;
});
socket.bind(Number(sourcePort), source);
await once(socket, "listening");
let sent = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "") continue;
  await new Promise((resolve, reject) => {
    socket.send(Buffer.from(line === "-" ? "" : line, "hex"), Number(port), destination, (error) =>
      error ? reject(error) : resolve(),
    );
  });
  sent += 1;
}
await new Promise((resolve) => setTimeout(resolve, Number(waitMs)));
socket.close();
process.stdout.write(`${JSON.stringify({ sent, answers })}\n`);
