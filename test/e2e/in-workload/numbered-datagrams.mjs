// Client: `numbered-datagrams.mjs PER_SECOND ADDRESS...` sends numbered datagrams to each address, none twice, and hears
// their echo. For each line of its input it stops until all are answered or nothing has come for a while, prints what
// came of them since the line before, and goes on. At SIGTERM it ends when all are answered: of answers that nobody takes
// its kernel tells the server, and quotes what it received, which may be several datagrams in one whose checksum a device
// was to finish. A judge of the recorded packets objects to that.
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const PORT = 80;
const TICK_MS = 10;
/** Longer than a proxy takes for what waited in its queues. */
const QUIET_MS = 15_000;

const [perSecond = "", ...addresses] = process.argv.slice(2);
const perTick = Math.max(1, Math.round((Number(perSecond) * TICK_MS) / 1000));
let isPaused = false;
let heardMs = performance.now();

class Stream {
  #address;
  #socket;
  #waiting = new Set();
  #next = 1;
  #highest = 0;
  sent = 0;
  outOfOrder = 0;
  repeated = 0;

  constructor(address) {
    this.#address = address;
    this.#socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    this.#socket.on("error", () => {}); // an ICMP error; the missing answer says enough
    this.#socket.on("message", (message) => this.#hear(Number(JSON.parse(message.toString()).echo)));
  }

  get missing() {
    return this.#waiting.size;
  }

  send() {
    const number = this.#next++;
    this.#waiting.add(number);
    this.sent += 1;
    this.#socket.send(String(number), PORT, this.#address);
  }

  forget() {
    this.#waiting.clear();
    this.sent = this.outOfOrder = this.repeated = 0;
  }

  #hear(number) {
    heardMs = performance.now();
    if (!this.#waiting.delete(number)) this.repeated += 1;
    if (number < this.#highest) this.outOfOrder += 1;
    this.#highest = Math.max(this.#highest, number);
  }
}

const streams = addresses.map((address) => new Stream(address));
const sum = (field) => streams.reduce((total, stream) => total + stream[field], 0);
setInterval(() => {
  if (isPaused) return;
  for (const stream of streams) for (let i = 0; i < perTick; i++) stream.send();
}, TICK_MS);

/** Sends nothing more until all are answered, or nothing has come for a while. */
async function settle() {
  isPaused = true;
  heardMs = performance.now();
  while (sum("missing") > 0 && performance.now() - heardMs < QUIET_MS) await pause(TICK_MS);
}

process.on("SIGTERM", () => void settle().then(() => process.exit()));
process.stdout.write("sending\n");
for await (const _ of createInterface({ input: process.stdin })) {
  await settle();
  const [sent, missing, outOfOrder, repeated] = ["sent", "missing", "outOfOrder", "repeated"].map(sum);
  process.stdout.write(`${JSON.stringify({ sent, missing, outOfOrder, repeated })}\n`);
  for (const stream of streams) stream.forget();
  isPaused = false;
}
process.exit();
