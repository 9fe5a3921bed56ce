// Client: `udp-bursts.mjs ADDRESS SIZE BURSTS` sends bursts of datagrams of SIZE bytes, each burst in one call that the
// kernel cuts up (UDP_SEGMENT), so that UDP super-packets reach the TUN; the last of a burst is shorter. Every datagram
// has a text of its own, and the server answers with it. Prints how many were asked, answered, and answered wrongly.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { expectSuccess, setsockopt } from "../../../dist/src/sys/libc.js";

const SERVICE_PORT = 80;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const PER_BURST_MAX = 32;
const BURST_MAX_BYTES = 60_000; // one call takes 65,507, and a socket's receive buffer not many times more
const RETRY_MS = 300; // a datagram may get lost; that is no failure, no answer at all is
const GIVE_UP_MS = 60_000;

const [address = "", size = "", bursts = ""] = process.argv.slice(2);
const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
socket.bind(0);
await once(socket, "listening");
const { fd } = socket._handle;
expectSuccess(setsockopt(fd, SOL_UDP, UDP_SEGMENT, Uint32Array.of(Number(size)), 4), "Setting UDP_SEGMENT");

const open = new Set();
const answeredOnce = new Set();
let settle = () => {};
let answered = 0;
let wrong = 0;
socket.on("error", () => {}); // an ICMP error; the missing answer says enough
socket.on("message", (message) => {
  const { echo } = JSON.parse(message.toString());
  if (open.delete(echo)) answered += 1;
  else if (!answeredOnce.has(echo)) wrong += 1; // what was sent again may be answered again
  answeredOnce.add(echo);
  if (open.size === 0) settle();
});

const perBurst = Math.min(PER_BURST_MAX, Math.floor(BURST_MAX_BYTES / Number(size)));
for (let burst = 0; burst < Number(bursts); burst++) {
  const texts = Array.from({ length: perBurst }, (_, index) => {
    const length = index === perBurst - 1 ? Math.ceil(Number(size) / 3) : Number(size);
    return `datagram ${burst} ${index} `.padEnd(length, String.fromCharCode(97 + ((burst + index) % 26)));
  });
  for (const text of texts) open.add(text);
  const done = new Promise((resolve, reject) => {
    settle = resolve;
    setTimeout(
      () => reject(new Error(`${open.size} datagrams of burst ${burst} without an answer`)),
      GIVE_UP_MS,
    ).unref();
  });
  socket.send(texts.join(""), SERVICE_PORT, address);
  const retry = setInterval(() => {
    for (const text of open) socket.send(text, SERVICE_PORT, address);
  }, RETRY_MS);
  await done;
  clearInterval(retry);
}
socket.close();
process.stdout.write(JSON.stringify({ asked: Number(bursts) * perBurst, answered, wrong }));
process.exit(0);
