// A whole data plane in one network namespace: real TUN, socket, workers and engine. Local workloads are addresses of
// the loopback; the other node is a UDP socket that answers raw inner packets. Prints what arrived where, and counters.
//   proxy.mjs [WORKERS]
import { execFileSync } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Counter } from "../../../../../dist/assembly/shared/counters.js";
import { Region } from "../../../../../dist/assembly/shared/layout/header.js";
import * as WorkerLayout from "../../../../../dist/assembly/shared/layout/worker.js";
import { DropReason } from "../../../../../dist/assembly/shared/verdicts.js";
import { builtModulePath, compileFile, ENGINE_SHAPE } from "../../../../../dist/src/dataplane/modules/wasm.js";
import { Supervisor } from "../../../../../dist/src/dataplane/worker/supervisor.js";
import { createSharedMemory } from "../../../../../dist/src/memory/shared-memory.js";
import { TableWriter } from "../../../../../dist/src/memory/table-writer.js";
import { parsePrefix } from "../../../../../dist/src/net/address.js";
import { TunInterface } from "../../../../../dist/src/sys/interface.js";
import { openTun } from "../../../../../dist/src/sys/tun.js";
import { openUdpSockets } from "../../../../../dist/src/sys/udp-socket.js";

const workers = Number(process.argv[2] ?? 1);
const directory = mkdtempSync(`${tmpdir()}/sapwood-`);
const ip = (...args) => execFileSync("ip", args, { encoding: "utf8" });
ip("link", "set", "lo", "up");
for (const address of ["10.101.3.23/32", "10.18.3.1/32", "fc00::101:3:23/128", "fc00::18:3:1/128"]) {
  ip("address", "add", address, "dev", "lo");
}

const instance = (number, node, suffix, namespaceAddresses) => ({
  number,
  node,
  namespaceAddresses,
  instanceAddresses: [`10.30.0.${suffix}`, `fdff::${suffix}`],
  weight: 1,
  draining: false,
});
const ranges = ["10.30.0.0/16", "fdff::/16"];
const shared = createSharedMemory({
  capacities: { flows: 4096, addresses: 1024, instances: 1024, workloads: 64, nodes: 64, workers },
  ranges: ranges.map(parsePrefix),
});
const tables = new TableWriter(shared, { nodeId: "node-a", policySlot: () => 0 });
const peer = dgram.createSocket("udp4");
peer.bind(0, "127.0.0.2");
await once(peer, "listening");
await tables.apply({
  setNodes: [{ id: "node-b", underlay: { address: "127.0.0.2", port: peer.address().port }, distanceKm: Number.NaN }],
  setServices: [
    { name: "client", addresses: [], instances: [instance(1, "node-a", 5, ["10.101.3.23", "fc00::101:3:23"])] },
    {
      name: "local",
      addresses: [
        { address: "10.30.0.1", policy: "round-robin" },
        { address: "fdff:2000::1", policy: "round-robin" },
      ],
      instances: [instance(1, "node-a", 3, ["10.18.3.1", "fc00::18:3:1"])],
    },
    {
      name: "remote",
      addresses: [{ address: "10.30.0.2", policy: "round-robin" }],
      instances: [instance(1, "node-b", 4, ["10.21.3.2", "fc00::21:3:2"])],
    },
  ],
});

const tun = openTun({ name: "swtest0", queues: workers, switchedOff: {} });
const network = await TunInterface.open({
  device: "swtest0",
  mtu: 1450,
  ranges,
  underlayDevice: "lo",
  stateFile: `${directory}/state.json`,
  isGuarded: false,
});
const sockets = openUdpSockets(workers, { address: "::", port: 50103, switchedOff: {} });
const ends = [];
const supervisor = await Supervisor.start({
  memory: shared.memory,
  engine: await compileFile(builtModulePath("engine"), ENGINE_SHAPE),
  policies: [
    {
      slot: 0,
      name: "round-robin",
      module: await WebAssembly.compile(readFileSync(builtModulePath("policies/round-robin"))),
    },
  ],
  queues: tun.fds.map((tunFd, index) => ({ tunFd, udpFd: sockets[index].fd })),
  onWorkerEnd: ({ worker, error, restartInMs }) => {
    ends.push({ worker, code: error.code, message: error.message, restartInMs });
  },
});
const results = {};

// The other node: a workload there that echoes. Its answer comes from its instance address, as that node sends it.
const inner = [];
let probeCame;
const firstProbe = new Promise((resolve) => {
  probeCame = resolve;
});
peer.on("message", (packet, sender) => {
  if (packet[0] >> 4 !== 4) return probeCame();
  inner.push({ source: [...packet.subarray(12, 16)].join("."), destination: [...packet.subarray(16, 20)].join(".") });
  const answer = Buffer.from(packet);
  answer.set([10, 30, 0, 4], 12);
  answer.set([10, 101, 3, 23], 16);
  packet.copy(answer, 20, 22, 24); // ports change places
  packet.copy(answer, 22, 20, 22);
  answer.writeUInt16BE(0, 26); // RFC 768: no checksum
  answer.writeUInt16BE(0, 10);
  answer.writeUInt16BE(headerChecksum(answer.subarray(0, 20)), 10);
  peer.send(answer, sender.port, "127.0.0.1");
});
function headerChecksum(header) {
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const server = http.createServer((request, response) => response.end(`to ${request.socket.remoteAddress}`));
server.listen(8080, "::");
await once(server, "listening");
const get = (host, localAddress) =>
  new Promise((resolve, reject) => {
    const request = http.get({ host, port: 8080, localAddress, agent: false, timeout: 60_000 }, (response) => {
      const from = response.socket.remoteAddress;
      response.setEncoding("utf8");
      response.on("data", (text) => resolve({ text, from }));
    });
    request.on("error", reject);
    request.on("timeout", () => request.destroy(new Error(`no answer from ${host}`)));
  });
results.local = [
  await get("10.30.0.1", "10.101.3.23"),
  await get("fdff:2000::1", "fc00::101:3:23"),
  await get("10.30.0.3", "10.101.3.23"),
];

const client = dgram.createSocket("udp4");
client.bind(0, "10.101.3.23");
await once(client, "listening");
client.send("over the tunnel", 7777, "10.30.0.2");
const [payload, from] = await Promise.race([once(client, "message"), sleep(60_000, ["nothing", {}], { ref: false })]);
results.remote = { payload: payload.toString(), from: `${from.address}:${from.port}`, inner };

await firstProbe;
const counters = {};
for (let worker = 0; worker < workers; worker++) {
  const at = shared.at(Region.workers) + worker * WorkerLayout.SIZE + WorkerLayout.COUNTERS;
  const words = new BigUint64Array(
    shared.memory.buffer,
    at,
    WorkerLayout.COUNTER_MAX + 2 * WorkerLayout.DROP_REASON_MAX,
  );
  words.forEach((value, index) => {
    const reason = (index - WorkerLayout.COUNTER_MAX) % WorkerLayout.DROP_REASON_MAX;
    const name =
      index < WorkerLayout.COUNTER_MAX
        ? Counter[index]
        : `${index < WorkerLayout.COUNTER_MAX + WorkerLayout.DROP_REASON_MAX ? "egress" : "ingress"}.${DropReason[reason]}`;
    if (value > 0n) counters[name] = (counters[name] ?? 0) + Number(value);
  });
}
results.counters = counters;

// The device goes away under the workers: each fails, is restarted three times, and stays down.
ip("link", "del", "swtest0");
while (ends.filter((end) => end.restartInMs === undefined).length < workers) await sleep(20);
results.ends = ends;

await supervisor.close();
results.closeFailures = await network.close();
for (const socket of sockets) socket.close();
tun.close();
client.close();
peer.close();
server.close();
server.closeAllConnections();
rmSync(directory, { recursive: true });
console.log(JSON.stringify(results));
