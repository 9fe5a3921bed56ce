// Opens tunnel sockets and moves datagrams between two of them over the loopback, through UdpDevice.
import { execFileSync } from "node:child_process";
import { Counter } from "../../../../../dist/assembly/shared/counters.js";
import * as KernelLayout from "../../../../../dist/assembly/shared/layout/kernel.js";
import * as WorkerLayout from "../../../../../dist/assembly/shared/layout/worker.js";
import {
  IP_TOS,
  IPV6_TCLASS,
  SOL_IP,
  SOL_IPV6,
  SOL_UDP,
  UDP_GRO,
} from "../../../../../dist/assembly/shared/sockets.js";
import { DropReason } from "../../../../../dist/assembly/shared/verdicts.js";
import { UdpDevice } from "../../../../../dist/src/dataplane/io/udp-device.js";
import { parseAddress } from "../../../../../dist/src/net/address.js";
import { openUdpSocket, openUdpSockets } from "../../../../../dist/src/sys/udp-socket.js";
import { Structures } from "../../in-namespace/worker-structures.mjs";

execFileSync("ip", ["link", "set", "lo", "up"]);
const base = { address: "::", port: 0, reusePort: false, switchedOff: {} };
const attempt = (options) => {
  try {
    const socket = openUdpSocket({ ...base, ...options });
    socket.close();
    socket.close();
    return { offloads: socket.offloads };
  } catch (error) {
    return { code: error.code, message: error.message };
  }
};
const results = {};
const held = openUdpSocket({ ...base, port: 50103 });
results.inUse = attempt({ port: 50103 });
results.foreign = attempt({ address: "192.0.2.77" });
results.noAddress = attempt({ address: "somewhere" });
results.on = attempt({});
results.off = attempt({ switchedOff: { "udp-gso": "nobody wants it", "udp-gro": "nobody wants it" } });
held.close();
const closeAll = (sockets) => {
  for (const socket of sockets) socket.close();
  return sockets.map(({ port }) => port);
};
const count = (number, port) => {
  try {
    return closeAll(openUdpSockets(number, { ...base, port }));
  } catch ({ code }) {
    return code;
  }
};
results.one = count(1, 50103);
results.three = count(3, 50103);
results.anyPort = new Set(count(2, 0)).size;
const others = openUdpSockets(2, { ...base, port: 50103 });
results.ofOthers = [count(1, 50103), count(2, 50103)];
closeAll(others);
results.again = count(2, 50103);

const noFaults = { udpRejected: () => 0, pathError: () => undefined };

const sockaddrTo = (address, port) => {
  const sockaddr = Buffer.alloc(28);
  sockaddr.writeUInt16LE(10);
  sockaddr.writeUInt16BE(port, 2);
  sockaddr.set(parseAddress(address), 8);
  return sockaddr;
};

const transfer = (address) => {
  const from = openUdpSocket({ ...base, address });
  const to = openUdpSocket({ ...base, address });
  const sender = new Structures();
  const receiver = new Structures();
  const rejections = [];
  const udpRejected = (message, errno) => {
    rejections.push([message, errno]);
    if (message !== 2) return 0;
    // In place of a message with too many segments: two single ones, the second of which nobody can send.
    sender.putMessage(WorkerLayout.UDP_RETRY, 0, { sockaddr, payload: Buffer.from("retried"), packets: 1 });
    sender.putMessage(WorkerLayout.UDP_RETRY, 1, { sockaddr, payload: Buffer.alloc(65535), packets: 5 });
    return 2;
  };
  const sending = new UdpDevice(from.fd, sender.area, { ...noFaults, udpRejected });
  const receiving = new UdpDevice(to.fd, receiver.area, noFaults);
  const sockaddr = sockaddrTo(address, to.port);
  const segments = Buffer.alloc(2500);
  for (let i = 0; i < 2500; i++) segments[i] = i % 251;
  const tos = address.includes(":") ? [SOL_IPV6, IPV6_TCLASS, 0xba] : [SOL_IP, IP_TOS, 0xba];
  sender.putMessage(WorkerLayout.UDP_TX, 0, { sockaddr, payload: Buffer.from("one"), packets: 1, tos });
  sender.putMessage(WorkerLayout.UDP_TX, 1, { sockaddr, payload: segments, packets: 3, segmentSize: 1000, tos });
  sender.putMessage(WorkerLayout.UDP_TX, 2, { sockaddr, payload: Buffer.alloc(2000), packets: 2000, segmentSize: 1 });
  sender.putMessage(WorkerLayout.UDP_TX, 3, { sockaddr, payload: Buffer.alloc(65535), packets: 7 });
  sender.putMessage(WorkerLayout.UDP_TX, 4, { sockaddr, payload: Buffer.from("last"), packets: 1 });
  sender.setUdpCount(5);
  sending.sendQueue();

  const message = (index, field) => receiver.u32(WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE + field);
  const received = [];
  const take = (count) => {
    for (let i = 0; i < count; i++) {
      const length = message(i, KernelLayout.MMSGHDR_LENGTH);
      const payload = receiver.bytes(
        WorkerLayout.UDP_SLOTS + i * WorkerLayout.SLOT_SIZE + WorkerLayout.SLOT_HEADROOM,
        length,
      );
      const controls = receiver.controls(i);
      received.push({
        payload: length < 20 ? payload.toString() : payload.equals(segments),
        length,
        segmentSize: controls[[SOL_UDP, UDP_GRO]] ?? 0,
        trafficClass: controls[[SOL_IP, IP_TOS]] ?? controls[[SOL_IPV6, IPV6_TCLASS]],
        nameLength: message(i, KernelLayout.MMSGHDR_NAME_LENGTH),
        fromPort: receiver.bytes(WorkerLayout.UDP_RX_NAMES + i * 32 + 2, 2).readUInt16BE() === from.port,
      });
    }
    return count;
  };
  const counts = [take(receiving.receiveBatch())];
  // The same structures once more: name and control lengths must have been given back.
  sender.putMessage(WorkerLayout.UDP_TX, 0, { sockaddr, payload: segments, packets: 3, segmentSize: 1000 });
  sender.setUdpCount(1);
  sending.sendQueue();
  counts.push(take(receiving.receiveBatch()), take(receiving.receiveBatch()));
  from.close();
  to.close();
  return {
    received,
    counts,
    rejections,
    queueLeft: sender.u32(WorkerLayout.UDP_TX_COUNT),
    udpSentMessages: sender.u32(WorkerLayout.COUNTERS + 8 * Counter.udpSentMessages),
    sendFailed: sender.u32(WorkerLayout.EGRESS_DROPS + 8 * DropReason.sendFailed),
    queueFull: sender.u32(WorkerLayout.EGRESS_DROPS + 8 * DropReason.queueFull),
    udpReceivedMessages: receiver.u32(WorkerLayout.COUNTERS + 8 * Counter.udpReceivedMessages),
  };
};

/** What is told of a datagram with a TOS to a port where nobody listens. */
const refused = (address) => {
  const from = openUdpSocket({ ...base, address });
  const nobody = openUdpSocket({ ...base, address });
  nobody.close();
  const structures = new Structures();
  const errors = [];
  const pathError = (errno, origin, mtu, quoted) => {
    const port = structures.bytes(WorkerLayout.ERROR_NAME + 2, 2).readUInt16BE() === nobody.port;
    errors.push({ errno, origin, mtu, quoted, port });
  };
  const device = new UdpDevice(from.fd, structures.area, { ...noFaults, pathError });
  const tos = address.includes(":") ? [SOL_IPV6, IPV6_TCLASS, 2] : [SOL_IP, IP_TOS, 2];
  const sockaddr = sockaddrTo(address, nobody.port);
  structures.putMessage(WorkerLayout.UDP_TX, 0, { sockaddr, payload: Buffer.from("away"), packets: 1, tos });
  structures.setUdpCount(1);
  device.sendQueue();
  device.receiveBatch();
  from.close();
  return errors;
};

/** Messages of three segments each, to a socket whose UDP_GRO goes off while the first waits. */
const switchWhileWaiting = (address) => {
  const from = openUdpSocket({ ...base, address });
  const to = openUdpSocket({ ...base, address });
  const sender = new Structures();
  const receiver = new Structures();
  const sending = new UdpDevice(from.fd, sender.area, noFaults);
  const receiving = new UdpDevice(to.fd, receiver.area, noFaults);
  const sockaddr = sockaddrTo(address, to.port);
  const send = () => {
    sender.putMessage(WorkerLayout.UDP_TX, 0, { sockaddr, payload: Buffer.alloc(2500), packets: 3, segmentSize: 1000 });
    sender.setUdpCount(1);
    sending.sendQueue();
  };
  send();
  to.settleOffloads({ "udp-gro": "nobody wants it" });
  send();
  const message = (index, field) => receiver.u32(WorkerLayout.UDP_RX + index * KernelLayout.MMSGHDR_SIZE + field);
  const received = Array.from({ length: receiving.receiveBatch() }, (_, i) => ({
    length: message(i, KernelLayout.MMSGHDR_LENGTH),
    segmentSize: receiver.controls(i)[[SOL_UDP, UDP_GRO]] ?? 0,
  }));
  to.settleOffloads({});
  send();
  received.push({ count: receiving.receiveBatch(), length: message(0, KernelLayout.MMSGHDR_LENGTH) });
  from.close();
  to.close();
  return received;
};
results.switched = switchWhileWaiting("127.0.0.1");

/** More than the receive buffer holds, to a socket that nobody reads. */
const overflow = () => {
  const from = openUdpSocket({ ...base, address: "::1" });
  const to = openUdpSocket({ ...base, address: "::1" });
  const before = to.receiveDrops();
  const sender = new Structures();
  const sending = new UdpDevice(from.fd, sender.area, noFaults);
  const sockaddr = sockaddrTo("::1", to.port);
  sender.putMessage(WorkerLayout.UDP_TX, 0, { sockaddr, payload: Buffer.alloc(60_000), packets: 1 });
  for (let i = 0; i < 1000 && to.receiveDrops() === 0; i++) {
    sender.setUdpCount(1);
    sending.sendQueue();
  }
  const drops = { before, after: to.receiveDrops() };
  from.close();
  to.close();
  return drops;
};
results.drops = overflow();
results.v4 = { ...transfer("127.0.0.1"), errors: refused("127.0.0.1") };
results.v6 = { ...transfer("::1"), errors: refused("::1") };
console.log(JSON.stringify(results));
