// Pings the kernel through a real TUN with a TunDevice that writes by a ring, and one without: the same frames, in the
// same order, one in five refused.
import { setTimeout as sleep } from "node:timers/promises";
import { Counter } from "../../../../../dist/assembly/shared/counters.js";
import * as WorkerLayout from "../../../../../dist/assembly/shared/layout/worker.js";
import { DropReason } from "../../../../../dist/assembly/shared/verdicts.js";
import { KERNEL } from "../../../../../dist/src/dataplane/io/calls.js";
import { TunDevice } from "../../../../../dist/src/dataplane/io/tun-device.js";
import { openRing, WriteRing } from "../../../../../dist/src/sys/io-uring.js";
import { close } from "../../../../../dist/src/sys/libc.js";
import { Structures } from "../../in-namespace/worker-structures.mjs";
import { noIp, openAddressedTun, ping } from "./tun-frames.mjs";

const FRAMES = 150;
const REFUSED_EACH = 5;

const tun = openAddressedTun();
const [fd] = tun.fds;

const frames = Array.from({ length: FRAMES }, (_, i) =>
  i % REFUSED_EACH === REFUSED_EACH - 1 ? { bytes: noIp, packets: 2 } : { bytes: ping(i), packets: 1 },
);

/** What becomes of `count` frames, and how many system calls of their own were made for them. */
async function write(ring, count = FRAMES) {
  let writes = 0;
  const calls = {
    ...KERNEL,
    writev: (...args) => {
      writes += 1;
      return KERNEL.writev(...args);
    },
  };
  const structures = new Structures();
  const device = new TunDevice(fd, structures.area, calls, ring);
  structures.putFrames(frames.slice(0, count));
  device.writeQueue();
  const answered = [];
  const expected = count - Math.floor(count / REFUSED_EACH);
  for (let wait = 0; answered.length < expected && wait < 1000; wait++) {
    const read = device.readBatch();
    for (let slot = 0; slot < read; slot++) {
      const at = WorkerLayout.TUN_SLOTS + slot * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM;
      answered.push(structures.bytes(at, 38)[37]);
    }
    if (read === 0) await sleep(5);
  }
  return {
    writes,
    answered,
    queueLeft: structures.u32(WorkerLayout.TUN_TX_COUNT),
    written: structures.u32(WorkerLayout.COUNTERS + 8 * Counter.tunWrittenFrames),
    sendFailed: structures.u32(WorkerLayout.INGRESS_DROPS + 8 * DropReason.sendFailed),
  };
}

const results = { oneByOne: await write(undefined) };
const handle = openRing();
if (handle !== undefined) {
  results.byRing = await write(new WriteRing(handle, fd));
  results.few = await write(new WriteRing(handle, fd), 7);
  // Who used the ring before died when he had told the kernel of writes that it did not take yet.
  const words = new Int32Array(handle.memory);
  words[handle.sqTailAt >> 2] += 5;
  results.afterDeath = await write(new WriteRing(handle, fd));
  const orphan = new WriteRing(handle, fd);
  close(handle.fd);
  results.withoutRing = await write(orphan);
}
tun.close();
console.log(JSON.stringify(results));
