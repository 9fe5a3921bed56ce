// Leaves TUN devices behind and opens them again, as they were or changed meanwhile, and prints what came of it.
import { execFileSync } from "node:child_process";
import { TunInterface } from "../../../../dist/src/sys/interface.js";
import { keepTun, openNodeTun } from "../../../../dist/src/sys/persistent-tun.js";

const [, , directory] = process.argv;
const NAME = "swkept0";
const NODE = `node-"a"-'ä`; // as names may be
const RANGES = ["10.30.0.0/16", "fdff::/16"];

const ip = (...args) => execFileSync("ip", args, { encoding: "utf8" });
const run = (...lines) => lines.forEach((line) => ip(...line.split(" ")));
const list = (...args) => JSON.parse(ip("-details", "-json", ...args) || "[]");
const shown = () => {
  const [{ ifindex, mtu, flags, linkinfo, addr_info }] = list("address", "show", "dev", NAME);
  const { persist, numqueues, user } = linkinfo.info_data ?? {};
  const routes = ["-4", "-6"].flatMap((family) => list(family, "route", "show", "dev", NAME)).map(({ dst }) => dst);
  const addresses = addr_info.map(({ local }) => local);
  return { ifindex, mtu, isUp: flags.includes("UP"), persist, numqueues, user, addresses, routes };
};

/** Sets all up as a proxy does, and gives what was found; `end` then ends it. */
const start = async ({ queues = 2, ranges = RANGES } = {}) => {
  const { tun, isAdopted, unusable } = await openNodeTun({ name: NAME, queues, switchedOff: {} }, NODE, 0);
  const stateFile = `${directory}/state.json`;
  const options = { device: NAME, mtu: 1400, ranges, underlayDevice: undefined, stateFile, isGuarded: true, isAdopted };
  const network = await TunInterface.open(options);
  await keepTun(tun, NODE);
  return { tun, network, found: { isAdopted, unusable, corrected: network.corrected, offloads: tun.offloads } };
};
/** The process ends at once. */
const crash = async (settings, ...meanwhile) => {
  const { tun, found } = await start(settings);
  const running = shown();
  tun.close();
  const left = shown();
  run(...meanwhile);
  return { ...found, running, left };
};
const refusal = (nodeId = NODE) =>
  openNodeTun({ name: NAME, queues: 1, switchedOff: {} }, nodeId, 0).then(
    () => "opened",
    ({ code, message }) => `${code}: ${message}`,
  );

run("link set lo up");
const results = {
  fresh: await crash({}),
  same: await crash(
    {},
    `link set ${NAME} mtu 1300`,
    `address add 192.0.2.9/24 dev ${NAME}`,
    `route add 10.77.0.0/16 dev ${NAME}`,
  ),
  changed: await crash({ queues: 3 }, `link set ${NAME} down`),
  down: await crash({}),
  otherRange: await crash({ ranges: ["10.31.0.0/16"] }),
  sameNode: NODE,
  otherNode: await refusal("node-b"),
};
const { tun, network } = await start();
results.held = await refusal();
results.closeFailures = await network.close();
tun.setPersistent(false);
tun.close();
results.closed = ip("-brief", "link", "show");

const foreign = async (add, remove = `link delete ${NAME}`) => {
  run(add);
  const before = ip("-details", "link", "show", NAME);
  const message = await refusal();
  const isSame = ip("-details", "link", "show", NAME) === before;
  run(remove);
  return { message, isSame };
};
results.foreignTun = await foreign(`tuntap add dev ${NAME} mode tun multi_queue vnet_hdr`);
results.foreignBridge = await foreign(`link add ${NAME} type bridge`);

const unlike = async (add) => {
  run(add);
  ip("link", "set", NAME, "alias", `sapwood node ${NODE}`);
  const result = await crash({});
  run(`link delete ${NAME}`);
  return result;
};
results.plain = await unlike(`tuntap add dev ${NAME} mode tun multi_queue`);
results.group = await unlike(`tuntap add dev ${NAME} mode tun multi_queue vnet_hdr group 0`);
results.owner = await unlike(`tuntap add dev ${NAME} mode tun multi_queue vnet_hdr user 65534`);
console.log(JSON.stringify(results));
