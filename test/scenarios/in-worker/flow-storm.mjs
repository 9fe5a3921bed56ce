// One of the workers of a storm: an engine in a thread, on the shared memory, that sends clients' packets, answers
// them, and checks what each became. Tells the test which translations it saw. The payload of a packet is the number
// of its flow key.
import { parentPort, workerData } from "node:worker_threads";
import * as KernelLayout from "../../../dist/assembly/shared/layout/kernel.js";
import * as WorkerLayout from "../../../dist/assembly/shared/layout/worker.js";
import { instantiateEngine } from "../../../dist/src/dataplane/modules/wasm.js";

// frames[k]: variants of key k's packet; keys[k]: { client, clientInstance, called, clientPort, calledPort, protocol };
// targets: { address, instance, endpoint, port }; addresses are hexadecimal digits.
const { memory, module, worker, workersAt, seed, rounds, batch, frames, keys, targets, clock, barrier, options } =
  workerData;
const workerAt = workersAt + worker * WorkerLayout.SIZE;
const view = new DataView(memory.buffer);
const bytes = Buffer.from(memory.buffer);
const words = new Int32Array(clock);
const gate = new Int32Array(barrier);
const translations = new Set();
const targetByAddress = new Map(targets.map((target) => [target.address, target]));
const clientSides = new Set(keys.map((key) => clientSide(key, key.called, key.clientPort)));

let state = seed * 16 + worker;
function random(limit) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * limit);
}

const engine = instantiateEngine(module, memory, () => random(targets.length));
engine.attach(worker, 0n);
for (let round = 0; round < rounds; round++) {
  everyone(round);
  const sent = sendClients(chooseKeys(round));
  if (options.answers) answerAll(sent.filter(() => random(4) !== 0));
  if (options.sweeps && random(2) === 0) engine.sweep(nowUs(), 1 + random(4 * keys.length));
}
parentPort.postMessage([...translations]);

/** All workers begin a round together, so that they race for the flows that it opens. */
function everyone(round) {
  const arrivals = (round + 1) * options.workers;
  if (Atomics.add(gate, 0, 1) + 1 >= arrivals) Atomics.notify(gate, 0);
  let spins = 0; // whoever sleeps comes too late to the race
  for (let now = Atomics.load(gate, 0); now < arrivals; now = Atomics.load(gate, 0)) {
    if (spins++ < 20_000) continue;
    if (Atomics.wait(gate, 0, now, 20_000) === "timed-out") throw new Error(`round ${round}: a worker is missing`);
  }
}

/** The keys that are new in this round, the same for all workers, and some of those before. */
function chooseKeys(round) {
  const fresh = Math.ceil(keys.length / rounds);
  return Array.from({ length: batch }, (_, i) => {
    const isFresh = i < fresh && round * fresh + i < keys.length;
    return isFresh ? round * fresh + i : random(Math.min(keys.length, (round + 1) * fresh));
  });
}

function sendClients(chosen) {
  chosen.forEach((key, slot) => {
    const frame = frames[key][random(frames[key].length)];
    bytes.set(frame, workerAt + WorkerLayout.TUN_SLOTS + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM);
    view.setUint32(workerAt + WorkerLayout.TUN_LENGTHS + 4 * slot, frame.length, true);
  });
  const sent = [];
  for (let first = 0; first < chosen.length; ) {
    first = engine.egress(first, chosen.length, nowUs());
    const count = view.getUint32(workerAt + WorkerLayout.UDP_TX_COUNT, true);
    for (let i = 0; i < count; i++)
      sent.push(checkSent(workerAt + WorkerLayout.UDP_TX + i * KernelLayout.MMSGHDR_SIZE));
  }
  if (options.isStrict && sent.length !== chosen.length)
    throw new Error(`${sent.length} of ${chosen.length} were sent`);
  return sent;
}

function checkSent(message) {
  const packet = parse(gathered(u64(message + KernelLayout.MMSGHDR_IOV)));
  const key = keys[packet.key];
  const target = targetByAddress.get(packet.destination);
  if (target === undefined) throw new Error(`sent to ${packet.destination}, which is no instance`);
  if (packet.source !== key.clientInstance) throw new Error(`sent from ${packet.source}`);
  if (packet.destinationPort !== key.calledPort || packet.protocol !== key.protocol) throw new Error("another service");
  if (key.target !== undefined && key.target !== packet.destination) throw new Error("another instance was called");
  const name = u64(message + KernelLayout.MMSGHDR_NAME);
  const endpoint = bytes.toString(
    "hex",
    name + KernelLayout.SOCKADDR_ADDRESS,
    name + KernelLayout.SOCKADDR_ADDRESS + 16,
  );
  if (endpoint !== target.endpoint) throw new Error(`for ${packet.destination}, but sent to ${endpoint}`);
  translations.add(`${packet.key} ${packet.destination} ${packet.sourcePort}`);
  return { key: packet.key, target, wirePort: packet.sourcePort };
}

function answerAll(sent) {
  sent.forEach(({ key, target, wirePort }, index) => {
    const answer = buildAnswer(keys[key], key, target, wirePort);
    const message = workerAt + WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE;
    bytes.set(answer, u64(u64(message + KernelLayout.MMSGHDR_IOV)));
    view.setUint32(message + KernelLayout.MMSGHDR_LENGTH, answer.length, true);
    view.setUint32(message + KernelLayout.MMSGHDR_FLAGS, 0, true);
    view.setBigUint64(message + KernelLayout.MMSGHDR_CONTROL_LENGTH, 0n, true);
    const name = u64(message + KernelLayout.MMSGHDR_NAME);
    view.setUint16(name + KernelLayout.SOCKADDR_PORT, target.port, false);
    bytes.write(target.endpoint, name + KernelLayout.SOCKADDR_ADDRESS, "hex");
  });
  let delivered = 0;
  for (let first = 0; first < sent.length; ) {
    first = engine.ingress(first, sent.length, nowUs());
    const count = view.getUint32(workerAt + WorkerLayout.TUN_TX_COUNT, true);
    for (let i = 0; i < count; i++) {
      checkDelivered(
        gathered(u64(workerAt + WorkerLayout.TUN_TX + i * WorkerLayout.TUN_TX_SIZE + WorkerLayout.TUN_TX_IOV) + 16),
        sent[delivered++],
      );
    }
  }
  if (delivered !== sent.length) throw new Error(`${delivered} of ${sent.length} answers were delivered`);
}

/** An answer comes from the called address, or, if its flow ended meanwhile, as it was. */
function checkDelivered(raw, { key: number, target, wirePort }) {
  const packet = parse(raw);
  const key = keys[number];
  if (packet.key !== number || packet.destination !== key.client) throw new Error("answers out of order");
  if (packet.source === key.called && packet.destinationPort === key.clientPort) return;
  if (options.isStrict) throw new Error(`key ${number}: an answer from ${packet.source} to ${packet.destinationPort}`);
  if (packet.source === target.instance && packet.destinationPort === wirePort) return;
  // Or another flow of the client has the same answers by now.
  if (clientSides.has(clientSide(key, packet.source, packet.destinationPort))) return;
  throw new Error(`key ${number}: nobody called ${packet.source} from ${packet.destinationPort}`);
}

function clientSide(key, called, clientPort) {
  return `${key.client} ${key.protocol} ${key.calledPort} ${called} ${clientPort}`;
}

function buildAnswer(key, number, target, wirePort) {
  const isTcp = key.protocol === 6;
  const isV4 = key.client.length === 8;
  const at = isV4 ? 20 : 40;
  const transport = isTcp ? 20 : 8;
  const packet = Buffer.alloc(at + transport + 4);
  packet.write(target.instance, isV4 ? 12 : 8, "hex");
  packet.write(key.client, isV4 ? 16 : 24, "hex");
  packet[0] = isV4 ? 0x45 : 0x60;
  packet[isV4 ? 9 : 6] = key.protocol;
  packet.writeUInt16BE(isV4 ? packet.length : transport + 4, isV4 ? 2 : 4);
  packet[isV4 ? 8 : 7] = 64;
  if (isV4) packet.writeUInt16BE(~sum(packet, 0, 20) & 0xffff, 10);
  packet.writeUInt16BE(key.calledPort, at);
  packet.writeUInt16BE(wirePort, at + 2);
  if (isTcp) packet.set([0x50, options.closes && random(8) === 0 ? 0x11 : 0x10, 0xff, 0xff], at + 12);
  else packet.writeUInt16BE(transport + 4, at + 4);
  packet.writeUInt32BE(number, at + transport);
  packet.writeUInt16BE(~transportSum(packet, at) & 0xffff, at + (isTcp ? 16 : 6));
  return packet;
}

/** Takes a packet apart; its lengths and checksums must be right. */
function parse(packet) {
  const isV4 = packet[0] >> 4 === 4;
  const at = isV4 ? 20 : 40;
  const [source, destination, end] = isV4 ? [12, 16, 20] : [8, 24, 40];
  if (isV4 && sum(packet, 0, 20) !== 0xffff) throw new Error("wrong IPv4 header checksum");
  if (transportSum(packet, at) !== 0xffff) throw new Error("wrong transport checksum");
  return {
    source: packet.toString("hex", source, destination),
    destination: packet.toString("hex", destination, end),
    protocol: packet[isV4 ? 9 : 6],
    sourcePort: packet.readUInt16BE(at),
    destinationPort: packet.readUInt16BE(at + 2),
    key: packet.readUInt32BE(packet.length - 4),
  };
}

function transportSum(packet, at) {
  const protocol = packet[at === 20 ? 9 : 6];
  const total = sum(packet, at === 20 ? 12 : 8, packet.length) + protocol + packet.length - at;
  return (total & 0xffff) + (total >>> 16);
}

function sum(packet, from, to) {
  let total = 0;
  for (let at = from; at < to; at += 2) total += packet.readUInt16BE(at);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** The bytes of an iovec, which holds a whole packet. */
function gathered(iovec) {
  const at = u64(iovec);
  return bytes.subarray(at, at + u64(iovec + KernelLayout.IOVEC_LENGTH));
}

/** A millisecond passes with each call of anyone: no test waits, and none depends on how fast the machine is. */
function nowUs() {
  return 1_000_000_000 + Atomics.add(words, 0, 1) * 1000;
}

function u64(at) {
  return Number(view.getBigUint64(at, true));
}
