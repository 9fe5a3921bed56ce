// Sets the TUN's interface up and down, also after a crash and with obstacles, and prints the network's state.
//   interface.mjs DIRECTORY          DIRECTORY keeps the state files
//   interface.mjs DIRECTORY crash    sets up and dies by SIGKILL
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { findUnderlay, TunInterface } from "../../../../dist/src/sys/interface.js";
import { openTun } from "../../../../dist/src/sys/tun.js";

const [, , directory, mode] = process.argv;
const stateFile = `${directory}/nested/swtest0.state.json`;
const options = {
  device: "swtest0",
  mtu: 1400,
  ranges: ["10.30.0.0/16", "fdff::/16"],
  underlayDevice: "under0",
  stateFile,
  isGuarded: false,
};
const tunOptions = { name: "swtest0", queues: 1, switchedOff: {} };

const ip = (...args) => execFileSync("ip", args, { encoding: "utf8" });
const sysctl = (path) => {
  const file = `/proc/sys/net/${path}`;
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
};
const state = () => {
  const [link] = JSON.parse(ip("-json", "link", "show", "swtest0"));
  const routes = (family) => JSON.parse(ip(family, "-json", "route", "show", "dev", "swtest0") || "[]");
  return {
    mtu: link.mtu,
    queueLength: link.txqlen,
    isUp: link.flags.includes("UP"),
    routes: [...routes("-4"), ...routes("-6")].map((route) => route.dst),
    addresses: JSON.parse(ip("-json", "address", "show", "swtest0"))[0].addr_info.length,
    forwarding: [sysctl("ipv4/ip_forward"), sysctl("ipv6/conf/all/forwarding")],
    reversePathFilter: sysctl("ipv4/conf/swtest0/rp_filter"),
    acceptRa: sysctl("ipv6/conf/under0/accept_ra"),
    hasStateFile: existsSync(stateFile),
  };
};

if (mode === "crash") {
  openTun(tunOptions);
  await TunInterface.open(options);
  process.kill(process.pid, "SIGKILL");
}

ip("link", "set", "lo", "up");
ip("link", "add", "under0", "mtu", "1500", "type", "veth", "peer", "name", "under1");
ip("address", "add", "192.0.2.1/24", "dev", "under0");
ip("address", "add", "2001:db8::1/64", "dev", "under0", "nodad");
ip("link", "set", "under0", "up");
const results = {
  unknownUnderlay: (await findUnderlay("192.0.2.9")) === undefined,
  underlays: [await findUnderlay("192.0.2.1"), await findUnderlay("2001:db8::1")],
};

const tun = openTun(tunOptions);
results.before = state();
const opened = await TunInterface.open(options);
results.open = state();
results.closeFailures = [await opened.close(), await opened.close()];
results.closed = state();

// Another device has the last range: what was done before that was noticed must be undone.
ip("link", "set", "under1", "up");
ip("route", "add", "fdff::/16", "dev", "under1");
results.taken = await TunInterface.open(options).catch(({ code, message }) => ({ code, message }));
results.afterTaken = state();
ip("route", "del", "fdff::/16", "dev", "under1");

// A command that fails half-way: the MTU and the first route are set, the second range is refused by `ip`.
const broken = { ...options, ranges: ["10.30.0.0/16", "10.31.0.1/16"] };
results.refused = await TunInterface.open(broken).catch(({ code, message }) => ({ code, message }));
results.afterRefused = state();
tun.close();

const crash = spawnSync(process.execPath, [fileURLToPath(import.meta.url), directory, "crash"], { encoding: "utf8" });
results.crash = {
  signal: crash.signal,
  stderr: crash.stderr,
  forwarding: [sysctl("ipv4/ip_forward"), sysctl("ipv6/conf/all/forwarding")],
  hasStateFile: existsSync(stateFile),
};
const again = openTun(tunOptions);
const reopened = await TunInterface.open(options);
results.reopened = state();
await reopened.close();
results.reclosed = state();
again.close();
console.log(JSON.stringify(results));
