// A TUN of this namespace with an address, and frames for it.
import { execFileSync } from "node:child_process";
import { openTun } from "../../../../../dist/src/sys/tun.js";

export const NAME = "swtest0";

export const ip = (...args) => execFileSync("ip", args);

export function openAddressedTun() {
  const tun = openTun({ name: NAME, queues: 1, switchedOff: {} });
  ip("link", "set", NAME, "addrgenmode", "none");
  ip("address", "add", "192.0.2.1/24", "dev", NAME);
  ip("link", "set", NAME, "up");
  return tun;
}

/** A virtio_net_hdr of zeros and an ICMP echo request from 192.0.2.2. */
export function ping(sequence) {
  const ipv4 = Buffer.from([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1]);
  ipv4.writeUInt16BE(sum(ipv4), 10);
  const icmp = Buffer.from([8, 0, 0, 0, 0, 1, 0, sequence]);
  icmp.writeUInt16BE(sum(icmp), 2);
  return Buffer.concat([Buffer.alloc(10), ipv4, icmp]);
}

/** A frame that the kernel refuses. */
export const noIp = Buffer.concat([Buffer.alloc(10), Buffer.alloc(28, 0xf0)]);

function sum(bytes) {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += bytes.readUInt16BE(i);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}
