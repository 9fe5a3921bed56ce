// Pings the kernel through a real TUN with a TunDevice that writes by a ring, and one without: the same frames, in the
// same order, one in five refused.
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { Counter } from "../../../../../dist/assembly/shared/counters.js";
import * as WorkerLayout from "../../../../../dist/assembly/shared/layout/worker.js";
import { DropReason } from "../../../../../dist/assembly/shared/verdicts.js";
import { KERNEL } from "../../../../../dist/src/dataplane/io/calls.js";
import { TunDevice } from "../../../../../dist/src/dataplane/io/tun-device.js";
import { openRing, WriteRing } from "../../../../../dist/src/sys/io-uring.js";
import { close } from "../../../../../dist/src/sys/libc.js";
import { openTun } from "../../../../../dist/src/sys/tun.js";
import { Structures } from "../../in-namespace/worker-structures.mjs";

const FRAMES = 150;
const REFUSED_EACH = 5;

const ip = (...args) => execFileSync("ip", args);
const tun = openTun({ name: "swtest0", queues: 1, switchedOff: {} });
const [fd] = tun.fds;
ip("link", "set", "swtest0", "addrgenmode", "none");
ip("address", "add", "192.0.2.1/24", "dev", "swtest0");
ip("link", "set", "swtest0", "up");

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
const noIp = Buffer.concat([Buffer.alloc(10), Buffer.alloc(28, 0xf0)]);
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
