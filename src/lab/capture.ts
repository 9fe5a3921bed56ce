// Program: `capture.js INTERFACE PORT` prints each inner packet that a tunnel datagram to PORT carries over INTERFACE,
// one JSON line each, after the line "ready". Runs until it is killed.
import { spawnSync } from "node:child_process";
import { writeSync } from "node:fs";
import { PacketSocket } from "../sys/packet-socket.ts";
import { Poller } from "../sys/poll.ts";
import { innerPackets } from "./tunnel-packet.ts";

const STDOUT = 1;
const WAIT_MS = 1_000;

const [device = "", port = ""] = process.argv.slice(2);
const socket = new PacketSocket(interfaceIndex(device));
const poller = new Poller([socket.fd]);
writeSync(STDOUT, "ready\n");
for (;;) {
  poller.wait(WAIT_MS);
  for (let bytes = socket.receive(); bytes !== undefined; bytes = socket.receive()) {
    for (const packet of innerPackets(bytes, Number(port))) writeSync(STDOUT, `${JSON.stringify(packet)}\n`);
  }
}

/** Asked of `ip`: /sys shows the interfaces of the namespace that it was mounted in, not of this one. */
function interfaceIndex(name: string): number {
  const { stdout } = spawnSync("ip", ["-json", "link", "show", "dev", name], { encoding: "utf8" });
  const [link] = JSON.parse(stdout) as { ifindex: number }[];
  return link?.ifindex ?? 0;
}
