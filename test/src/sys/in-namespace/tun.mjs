// Opens TUN devices in every way that the test asks about, and prints what came of it.
import { execFileSync } from "node:child_process";
import { close, errnoName, write } from "../../../../dist/src/sys/libc.js";
import { superPacket } from "../../../../dist/src/sys/super-packet.js";
import { openTun } from "../../../../dist/src/sys/tun.js";

const attempt = (options) => {
  try {
    const tun = openTun(options);
    tun.close();
    tun.close();
    return { fds: tun.fds.length, distinct: new Set(tun.fds).size, offloads: tun.offloads };
  } catch (error) {
    return { code: error.code, message: error.message };
  }
};

const base = { name: "swtest0", queues: 1, switchedOff: {} };
const results = {
  one: attempt(base),
  three: attempt({ ...base, queues: 3 }),
  withoutTcp: attempt({ ...base, switchedOff: { "tun-tcp": "nobody wants it" } }),
  withoutUdp: attempt({ ...base, switchedOff: { "tun-udp": "nobody wants it" } }),
  longName: attempt({ ...base, name: "a-name-of-16-byt" }),
};
const held = openTun(base);
results.heldTwice = attempt(base);
const offer = (frame) => errnoName(write(held.fds[0], frame, frame.length));
const broken = superPacket("tcp", "v4");
broken[1] = 0x7f; // no type of super-packet that there is
results.offers = { tcp: offer(superPacket("tcp", "v6")), udp: offer(superPacket("udp", "v6")), broken: offer(broken) };
execFileSync("ip", ["link", "set", "dev", "swtest0", "up"]);
results.resettled = { offloads: held.settleOffloads({ "tun-tcp": "nobody wants it" }) };
results.restored = { offloads: held.settleOffloads({}) };
// The failed attempt must not have closed or disturbed the device that exists: its descriptor is still there.
results.closedHeld = close(held.fds[0]);
console.log(JSON.stringify(results));
