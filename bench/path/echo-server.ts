// Program: `echo-server.js` answers each datagram with the same, for one client at a time, until it is killed.
import { writeSync } from "node:fs";
import { Poller } from "../../src/sys/poll.ts";
import { DatagramSocket } from "./datagram-socket.ts";
import { LISTENING, TOOL_PORT } from "./tool-protocol.ts";

const STDOUT = 1;
const IDLE_MS = 10_000;

const socket = new DatagramSocket(TOOL_PORT, IDLE_MS);
const poller = new Poller([socket.fd]);
writeSync(STDOUT, LISTENING);

// The first comes by recvmmsg, which says from whom; the client keeps its port, so the rest need not be asked.
while (poller.wait(IDLE_MS) > 0 && socket.receiveWaiting() === 0);
do socket.send(1);
while (socket.receiveOne());
