// A worker that hangs in the engine of the package, because of what the test puts into the shared memory: every bucket of
// the flow table is locked, and nobody unlocks it. Prints how the worker ended, and what its successor served.
import { execFileSync } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import * as FlowLayout from "../../../../../dist/assembly/shared/layout/flow.js";
import { Region } from "../../../../../dist/assembly/shared/layout/header.js";
import { builtModulePath, compileFile, ENGINE_SHAPE } from "../../../../../dist/src/dataplane/modules/wasm.js";
import { Supervisor } from "../../../../../dist/src/dataplane/worker/supervisor.js";
import { createSharedMemory } from "../../../../../dist/src/memory/shared-memory.js";
import { TableWriter } from "../../../../../dist/src/memory/table-writer.js";
import { parsePrefix } from "../../../../../dist/src/net/address.js";
import { TunInterface } from "../../../../../dist/src/sys/interface.js";
import { openTun } from "../../../../../dist/src/sys/tun.js";
import { openUdpSockets } from "../../../../../dist/src/sys/udp-socket.js";

const PATIENCE = 2; // times the limit of the engine, as the registry has it for the package's own
const WAIT_MS = 120_000;
const PORT = 7777;
const directory = mkdtempSync(`${tmpdir()}/sapwood-`);
const ip = (...args) => execFileSync("ip", args, { encoding: "utf8" });
ip("link", "set", "lo", "up");
for (const address of ["10.101.3.23/32", "10.18.3.1/32"]) ip("address", "add", address, "dev", "lo");

const instance = (namespaceAddress, instanceAddress) => ({
  number: 1,
  node: "node-a",
  namespaceAddresses: [namespaceAddress],
  instanceAddresses: [instanceAddress],
  weight: 1,
  draining: false,
});
const ranges = ["10.30.0.0/16"];
const shared = createSharedMemory({
  capacities: { flows: 256, addresses: 64, instances: 64, workloads: 16, nodes: 4, workers: 1 },
  ranges: ranges.map(parsePrefix),
});
const tables = new TableWriter(shared, { nodeId: "node-a", policySlot: () => 0 });
await tables.apply({
  setServices: [
    { name: "client", addresses: [], instances: [instance("10.101.3.23", "10.30.0.5")] },
    {
      name: "server",
      addresses: [{ address: "10.30.0.1", policy: "any" }],
      instances: [instance("10.18.3.1", "10.30.0.3")],
    },
  ],
});
const tun = openTun({ name: "swhung0", queues: 1, switchedOff: {} });
const network = await TunInterface.open({
  device: "swhung0",
  mtu: 1450,
  ranges,
  underlayDevice: "lo",
  stateFile: `${directory}/state.json`,
  isGuarded: false,
});
const [socket] = openUdpSockets(1, { address: "::", port: 50103, switchedOff: {} });
const results = { times: [], ends: [] };
const supervisor = await Supervisor.start({
  memory: shared.memory,
  engine: await compileFile(builtModulePath("engine"), ENGINE_SHAPE),
  policies: [],
  queues: [{ tunFd: tun.fds[0], udpFd: socket.fd }],
  onOverdue: ({ times }) => {
    results.times.push(times);
    return times >= PATIENCE;
  },
  onWorkerEnd: ({ error, restartInMs }) => results.ends.push({ message: error.message, restartInMs }),
});

const server = dgram.createSocket("udp4", (message, { port, address }) => server.send(message, port, address));
server.bind(PORT, "10.18.3.1");
await once(server, "listening");
const client = dgram.createSocket("udp4");
let answer = "nothing";
client.on("message", (message) => {
  answer = message.toString();
});
client.bind(0, "10.101.3.23");
await once(client, "listening");
let otherPort = PORT;
/** Sends again and again. Every other datagram begins a flow, which has to be put into a bucket. */
async function sendUntil(text, isOver) {
  for (const endMs = Date.now() + WAIT_MS; !isOver() && Date.now() < endMs; await sleep(20)) {
    client.send(text, PORT, "10.30.0.1");
    client.send(text, ++otherPort, "10.30.0.1");
  }
}
await sendUntil("before", () => answer === "before");
results.before = answer;

const bucketsAt = shared.at(Region.flowBuckets);
const setLocks = (value) => {
  for (let i = 0; i < shared.records.flowBuckets; i++) {
    Atomics.store(shared.i32, (bucketsAt + i * FlowLayout.BUCKET_SIZE + FlowLayout.BUCKET_LOCK) >> 2, value);
  }
};
setLocks(1);
await sendUntil("hang", () => results.ends.length > 0);
setLocks(0);
await sendUntil("after", () => answer === "after");
results.after = answer;
process.stdout.write(JSON.stringify(results));

await supervisor.close();
await network.close();
socket.close();
tun.close();
client.close();
server.close();
rmSync(directory, { recursive: true });
