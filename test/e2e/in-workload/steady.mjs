// Client: `steady.mjs ADDRESS...` keeps to each address a busy connection, an idle one and a UDP socket. A busy one asks
// again as soon as it is answered; an idle one asks for each line that is read. For each line it prints what came of all:
// { asked, lost, longestSilenceMs }. A datagram that is not answered is sent again.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, isIPv6 } from "node:net";
import { createInterface } from "node:readline";

const PORT = 80;
const RETRY_MS = 100;
const IDLE_LIMIT_MS = 60_000;

const lost = [];
let asked = 0;
let longestSilenceMs = 0;

class Connection {
  constructor(address) {
    this.address = address;
    this.socket = connect({ host: address, port: PORT });
    this.socket.setNoDelay(true);
    this.text = "";
    this.socket.on("data", (data) => {
      this.text += data;
      const end = this.text.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(this.text)?.[1]);
      if (end < 0 || this.text.length < end + 4 + length) return;
      const body = this.text.slice(end + 4, end + 4 + length);
      this.text = "";
      this.answered?.(body);
    });
    this.closed = once(this.socket, "close");
    this.socket.on("error", (error) => this.fail(error.code));
    this.socket.on("close", () => this.fail("closed"));
  }

  fail(why) {
    if (this.isLost) return;
    this.isLost = true;
    lost.push(`${this.address} ${this.socket.localPort}: ${why}`);
    this.answered?.("");
  }

  /** Resolves when the answer is there, or the connection lost. */
  async ask() {
    if (this.isLost) return;
    const before = performance.now();
    const answer = new Promise((resolve) => (this.answered = resolve));
    this.socket.write(`GET /${++asked} HTTP/1.1\r\nHost: b\r\n\r\n`);
    await answer;
    longestSilenceMs = Math.max(longestSilenceMs, performance.now() - before);
  }
}

async function exchange(address) {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  socket.on("error", () => {}); // what an ICMP error says; the answer comes or does not
  for (let i = 0; ; i++) {
    const before = performance.now();
    const answer = new Promise((resolve) => {
      const take = (message) => {
        if (JSON.parse(message).echo !== `${i}`) return; // of what was sent twice
        socket.off("message", take);
        resolve(JSON.parse(message).instance);
      };
      socket.on("message", take);
    });
    const send = () => socket.send(`${i}`, PORT, address, () => {});
    send();
    const retry = setInterval(send, RETRY_MS);
    const instance = await answer;
    clearInterval(retry);
    asked++;
    longestSilenceMs = Math.max(longestSilenceMs, performance.now() - before);
    exchange.instances ??= new Map();
    const first = exchange.instances.get(socket) ?? instance;
    exchange.instances.set(socket, first);
    if (first !== instance) lost.push(`${address} UDP: ${first} became ${instance}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const addresses = process.argv.slice(2);
const busy = addresses.map((address) => new Connection(address));
const idle = addresses.map((address) => new Connection(address));
for (const connection of busy) {
  const loop = async () => {
    while (!connection.isLost) await connection.ask();
  };
  void loop();
}
for (const address of addresses) void exchange(address);
await Promise.all(idle.map((connection) => connection.ask()));
console.log("ready");
for await (const _ of createInterface({ input: process.stdin })) {
  const late = new Promise((resolve) => setTimeout(resolve, IDLE_LIMIT_MS, "late").unref());
  for (const connection of idle)
    if ((await Promise.race([connection.ask(), late])) === "late") connection.fail("silent");
  console.log(JSON.stringify({ asked, lost, longestSilenceMs: Math.round(longestSilenceMs) }));
  longestSilenceMs = 0;
}
process.exit();
