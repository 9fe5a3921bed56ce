// Opens TUN devices in every way that the test asks about, and prints what came of it.
import { close } from "../../../../dist/src/sys/libc.js";
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
// The failed attempt must not have closed or disturbed the device that exists: its descriptor is still there.
results.closedHeld = close(held.fds[0]);
console.log(JSON.stringify(results));
