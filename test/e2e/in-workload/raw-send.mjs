// Program: `raw-send.mjs DESTINATION` sends each line of its input, an IPv4 packet in hex, as it is, and prints how many the
// kernel took (raw(7), IPPROTO_RAW: the header is ours).
import { createInterface } from "node:readline";
import koffi from "koffi";

const [destination] = process.argv.slice(2);
const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int, int, int)");
const sendto = libc.func("long sendto(int, const void *, size_t, int, const void *, uint32_t)");

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;

const to = Buffer.alloc(16);
to.writeUInt16LE(AF_INET);
to.set(destination.split(".").map(Number), 4);
const fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
let sent = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const bytes = Buffer.from(line, "hex");
  if (bytes.length > 0 && Number(sendto(fd, bytes, bytes.length, 0, to, to.length)) === bytes.length) sent += 1;
}
process.stdout.write(`${JSON.stringify({ sent })}\n`);
