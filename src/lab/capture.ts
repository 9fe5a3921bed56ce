// Program: `capture.js INTERFACE PORT` prints each inner packet that a tunnel datagram to PORT carries over INTERFACE,
// one JSON line each, after the line "ready". At the end of its input it prints what has come until then, and ends.
import { spawnSync } from "node:child_process";
import { writeSync } from "node:fs";
import { PacketSocket } from "../sys/packet-socket.ts";
import { Poller } from "../sys/poll.ts";
import { innerPackets } from "./tunnel-packet.ts";

const STDIN = 0;
const STDOUT = 1;
const WAIT_MS = 1_000;

const [device = "", port = ""] = process.argv.slice(2);
const socket = new PacketSocket(interfaceIndex(device));
const poller = new Poller([socket.fd, STDIN]);
writeSync(STDOUT, "ready\n");
for (let isLast = false; !isLast; ) {
  poller.wait(WAIT_MS);
  isLast = poller.events(1) !== 0; // nothing but its end comes from the input
  for (let bytes = socket.receive(); bytes !== undefined; bytes = socket.receive()) {
    for (const packet of innerPackets(bytes, Number(port))) writeSync(STDOUT, `${JSON.stringify(packet)}\n`);
  }
}
socket.close();

/** Asked of `ip`: /sys shows the interfaces of the namespace that it was mounted in, not of this one. */
function interfaceIndex(name: string): number {
  const { stdout } = spawnSync("ip", ["-json", "link", "show", "dev", name], { encoding: "utf8" });
  const [link] = JSON.parse(stdout) as { ifindex: number }[];
  return link?.ifindex ?? 0;
}
