// Client: `kept-exchanges.mjs BUSY IDLE PAUSE_MS ADDRESS...` keeps TCP connections to each address, BUSY that ask all the
// time, with a pause after each answer, and IDLE that ask only when a line comes, and as many UDP sockets that ask all the
// time. For each line of its input it asks once over every idle connection, opens a new one to each of the first two
// addresses, and waits until every busy one was answered anew. Then it prints what came of everything since the line
// before: answers, broken connections, exchanges that another instance answered, and the longest silence of a busy one.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, isIPv6 } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const PORT = 80;
const UDP_RETRY_MS = 200;
/** The rest may be one instance, to which nothing new may go while its node is away. */
const FRESH = 2;

const [busyCount = "", idleCount = "", pauseText = "", ...addresses] = process.argv.slice(2);
const pauseMs = Number(pauseText);
let found = nothing();

function nothing() {
  return { answers: 0, broken: [], refused: [], moved: 0, longestSilenceMs: 0 };
}

/** One TCP connection with one question at a time. */
class Connection {
  #socket;
  #received = "";
  #answered = () => {};
  #isBroken = false;
  #instance;
  answers = 0;

  static async open(address) {
    const connection = new Connection();
    const socket = connect({ host: address, port: PORT, noDelay: true });
    connection.#socket = socket;
    let isOpen = false;
    const breaks = (why) => {
      // A node that is known to be away is told of before a connection opens.
      const isRefused = !isOpen && (why === "EHOSTUNREACH" || why === "ECONNREFUSED");
      if (!connection.#isBroken) found[isRefused ? "refused" : "broken"].push(`${address}: ${why}`);
      connection.#isBroken = true;
      connection.#answered();
    };
    socket.setEncoding("utf8");
    socket.on("data", (text) => {
      connection.#received += text;
      if (connection.#received.endsWith("}\n")) connection.#answered();
    });
    socket.on("error", ({ code }) => breaks(code));
    socket.on("end", () => breaks("ended"));
    socket.on("connect", () => {
      isOpen = true;
    });
    await once(socket, "connect").catch(() => {});
    return connection;
  }

  async ask() {
    if (this.#isBroken) return false;
    this.#received = "";
    const answered = new Promise((resolve) => {
      this.#answered = resolve;
    });
    this.#socket.write("GET /x HTTP/1.1\r\nhost: x\r\n\r\n");
    await answered;
    if (this.#isBroken) return false;
    this.#instance = note(JSON.parse(this.#received.slice(this.#received.indexOf("\r\n\r\n"))), this.#instance);
    this.answers += 1;
    return true;
  }

  get isBroken() {
    return this.#isBroken;
  }

  close() {
    this.#isBroken = true;
    this.#socket.destroy();
  }
}

/** One UDP socket with one question at a time, which is repeated until it is answered. */
class Exchange {
  #socket;
  #address;
  #last = 0;
  #instance;
  answers = 0;
  isBroken = false;

  constructor(address) {
    this.#address = address;
    this.#socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    this.#socket.on("error", () => {}); // an ICMP error; the missing answer says enough
  }

  async ask() {
    const text = String(++this.#last);
    const send = () => this.#socket.send(text, PORT, this.#address);
    const retry = setInterval(send, UDP_RETRY_MS);
    send();
    for (;;) {
      const [message] = await once(this.#socket, "message");
      const answer = JSON.parse(message.toString());
      if (answer.echo !== text) continue; // to a question that was repeated
      clearInterval(retry);
      this.#instance = note(answer, this.#instance);
      this.answers += 1;
      return true;
    }
  }
}

function note({ instance }, before) {
  found.answers += 1;
  if (before !== undefined && before !== instance) found.moved += 1;
  return instance;
}

async function askOn(one) {
  for (let askedMs = performance.now(); await one.ask(); askedMs = performance.now()) {
    found.longestSilenceMs = Math.max(found.longestSilenceMs, Math.round(performance.now() - askedMs));
    await pause(pauseMs);
  }
}

/** Never resolves for one that is silent for good. */
async function untilAnswered(one) {
  for (const before = one.answers; one.answers <= before + 1 && !one.isBroken; ) await pause(pauseMs);
}

const times = (count, make, to = addresses) =>
  Promise.all(to.flatMap((address) => Array.from({ length: count }, () => make(address))));
const idle = await times(Number(idleCount), (address) => Connection.open(address));
for (const one of idle) await one.ask();
const busy = [
  ...(await times(Number(busyCount), (address) => Connection.open(address))),
  ...(await times(Number(busyCount), (address) => new Exchange(address))),
];
for (const one of busy) void askOn(one);
process.stdout.write("asking\n");
for await (const _ of createInterface({ input: process.stdin })) {
  const fresh = await times(1, (address) => Connection.open(address), addresses.slice(0, FRESH));
  await Promise.all([...[...idle, ...fresh].map((one) => one.ask()), ...busy.map(untilAnswered)]);
  for (const one of fresh) one.close();
  process.stdout.write(`${JSON.stringify(found)}\n`);
  found = nothing();
}
process.exit();
