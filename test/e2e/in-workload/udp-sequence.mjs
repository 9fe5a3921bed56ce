// Client: `udp-sequence.mjs ADDRESS COUNT` sends COUNT numbered datagrams at once from one socket, and prints in what
// order the answers came, or the error that the kernel reports for the socket.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";
import { expectSuccess, setsockopt } from "../../../dist/src/sys/libc.js";

const SERVICE_PORT = 80;
const GIVE_UP_MS = 240_000;
// Level and option IP_RECVERR and IPV6_RECVERR: without it Linux keeps an unreachable host from a UDP socket.
const REPORT_ERRORS = { v4: [0, 11], v6: [41, 25] };

const [address = "", count = ""] = process.argv.slice(2);
const echoes = [];
const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
setTimeout(() => end({ echoes, error: "no answer" }), GIVE_UP_MS).unref();
socket.connect(SERVICE_PORT, address);
await once(socket, "connect");
const [level, option] = isIPv6(address) ? REPORT_ERRORS.v6 : REPORT_ERRORS.v4;
expectSuccess(setsockopt(socket._handle.fd, level, option, Uint32Array.of(1), 4), "Asking for errors");
socket.on("error", ({ code }) => end({ echoes, error: code }));
socket.on("message", (message) => {
  echoes.push(Number(JSON.parse(message.toString()).echo));
  if (echoes.length === Number(count)) end({ echoes });
});
for (let number = 1; number <= Number(count); number++) socket.send(String(number));

function end(result) {
  process.stdout.write(JSON.stringify(result), () => process.exit());
}
