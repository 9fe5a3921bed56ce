// Client: `udp-echo.mjs ADDRESS SIZE COUNT` sends COUNT datagrams of SIZE bytes, one after the other, each again until
// it is answered. Prints how many were answered, and answered wrongly, and the errors that the socket reported.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";

const SERVICE_PORT = 80;
const RETRY_MS = 300; // the first ones may get lost on the way to a path MTU
const GIVE_UP_MS = 60_000;

const [address = "", size = "", count = ""] = process.argv.slice(2);
const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
socket.bind(0);
await once(socket, "listening");
const errors = new Set();
socket.on("error", ({ code }) => errors.add(code));
let answered = 0;
let wrong = 0;
const giveUpAt = performance.now() + GIVE_UP_MS;
for (let i = 0; i < Number(count); i++) {
  const text = `${i} `.padEnd(Number(size), "x");
  const answer = new Promise((resolve) => socket.once("message", resolve));
  const send = () => socket.send(text, SERVICE_PORT, address, (error) => error && errors.add(error.code));
  send();
  const retry = setInterval(() => {
    if (performance.now() > giveUpAt) socket.emit("message", Buffer.from('{"echo":"nothing"}'));
    else send();
  }, RETRY_MS);
  const { echo } = JSON.parse((await answer).toString());
  clearInterval(retry);
  // What was sent twice may be answered twice, whenever that is.
  if (echo === text) answered += 1;
  else if (Number(echo.split(" ")[0]) < i) i -= 1;
  else wrong += 1;
}
socket.close();
process.stdout.write(`${JSON.stringify({ answered, wrong, errors: [...errors] })}\n`);
