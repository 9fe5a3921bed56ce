// Pings the kernel through a real TUN with TunDevice, and writes frames that the kernel refuses.
import { setTimeout as sleep } from "node:timers/promises";
import { Counter } from "../../../../../dist/assembly/shared/counters.js";
import * as WorkerLayout from "../../../../../dist/assembly/shared/layout/worker.js";
import { DropReason } from "../../../../../dist/assembly/shared/verdicts.js";
import { TunDevice } from "../../../../../dist/src/dataplane/io/tun-device.js";
import { Structures } from "../../in-namespace/worker-structures.mjs";
import { ip, NAME, noIp, openAddressedTun, ping } from "./tun-frames.mjs";

const tun = openAddressedTun();

const structures = new Structures();
const device = new TunDevice(tun.fds[0], structures.area);

const results = { empty: device.readBatch() };
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

ip("link", "set", NAME, "down");
structures.putFrames([{ bytes: ping(3), packets: 5 }]);
device.writeQueue();
results.counters = {
  tunReadFrames: structures.u32(WorkerLayout.COUNTERS + 8 * Counter.tunReadFrames),
  tunWrittenFrames: structures.u32(WorkerLayout.COUNTERS + 8 * Counter.tunWrittenFrames),
  sendFailed: structures.u32(WorkerLayout.INGRESS_DROPS + 8 * DropReason.sendFailed),
};

ip("link", "del", NAME);
try {
  device.readBatch();
} catch ({ code, message }) {
  results.deleted = { code, message };
}
tun.close();
console.log(JSON.stringify(results));
