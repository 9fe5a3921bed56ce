// Pings the kernel through a real TUN with TunDevice, and writes frames that the kernel refuses.
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { Counter } from "../../../../../dist/assembly/shared/counters.js";
import * as WorkerLayout from "../../../../../dist/assembly/shared/layout/worker.js";
import { DropReason } from "../../../../../dist/assembly/shared/verdicts.js";
import { TunDevice } from "../../../../../dist/src/dataplane/io/tun-device.js";
import { openTun } from "../../../../../dist/src/sys/tun.js";
import { Structures } from "../../in-namespace/worker-structures.mjs";

const ip = (...args) => execFileSync("ip", args);
const tun = openTun({ name: "swtest0", queues: 1, switchedOff: {} });
ip("link", "set", "swtest0", "addrgenmode", "none");
ip("address", "add", "192.0.2.1/24", "dev", "swtest0");
ip("link", "set", "swtest0", "up");

const structures = new Structures();
const device = new TunDevice(tun.fds[0], structures.area);
const sum = (bytes) => {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += bytes.readUInt16BE(i);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
};
/** A virtio_net_hdr of zeros and an ICMP echo request from 192.0.2.2. */
const ping = (sequence) => {
  const ipv4 = Buffer.from([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1]);
  ipv4.writeUInt16BE(sum(ipv4), 10);
  const icmp = Buffer.from([8, 0, 0, 0, 0, 1, 0, sequence]);
  icmp.writeUInt16BE(sum(icmp), 2);
  return Buffer.concat([Buffer.alloc(10), ipv4, icmp]);
};

const results = { empty: device.readBatch() };
const noIp = Buffer.concat([Buffer.alloc(10), Buffer.alloc(28, 0xf0)]);
structures.putFrames([
  { bytes: ping(1), packets: 1 },
  { bytes: noIp, packets: 3 },
  { bytes: ping(2), packets: 1 },
]);
device.writeQueue();
results.queueLeft = structures.u32(WorkerLayout.TUN_TX_COUNT);
device.writeQueue(); // an empty queue
results.answers = [];
for (let wait = 0; results.answers.length < 2 && wait < 1000; wait++) {
  const count = device.readBatch();
  for (let slot = 0; slot < count; slot++) {
    const length = structures.u32(WorkerLayout.TUN_LENGTHS + 4 * slot);
    const frame = structures.bytes(
      WorkerLayout.TUN_SLOTS + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM,
      length,
    );
    const source = [...frame.subarray(22, 26)].join(".");
    results.answers.push({ length, source, type: frame[30], sequence: frame[37] });
  }
  await sleep(5);
}

ip("link", "set", "swtest0", "down");
structures.putFrames([{ bytes: ping(3), packets: 5 }]);
device.writeQueue();
results.counters = {
  tunReadFrames: structures.u32(WorkerLayout.COUNTERS + 8 * Counter.tunReadFrames),
  tunWrittenFrames: structures.u32(WorkerLayout.COUNTERS + 8 * Counter.tunWrittenFrames),
  sendFailed: structures.u32(WorkerLayout.INGRESS_DROPS + 8 * DropReason.sendFailed),
};

ip("link", "del", "swtest0");
try {
  device.readBatch();
} catch ({ code, message }) {
  results.deleted = { code, message };
}
tun.close();
console.log(JSON.stringify(results));
