// The client's port on the wire: its own, unless another flow has the same answers already (one client, two addresses
// that lead to one instance). Then another one, as a NAT would.
//
// The search goes through all ports in one order, and each search goes on where the worker's last one ended. So a free
// port is found, if not by this packet then by one that the client repeats, and no call of the engine takes long.

import { count } from "../area/count.ts";
import { workerAt } from "../area/regions.ts";
import { addressDelta, wordDelta } from "../checksum/incremental.ts";
import { fold } from "../checksum/sum.ts";
import { Counter } from "../shared/counters.ts";
import {
  FLOW_ANSWERED,
  FLOW_CLIENT_INSTANCE_ADDRESS,
  FLOW_FORWARD_DELTA,
  FLOW_REVERSE_DELTA,
  FLOW_TARGET,
  FLOW_TARGET_INSTANCE_ADDRESS,
  FLOW_WIRE_PORT,
  WORKER_PORT_CURSOR,
  WORKER_PORT_TRIES,
} from "../shared/layout.ts";
import { areAnswersTaken, claimAnswers } from "../table/flow.ts";
import { Packet } from "../wire/packet.ts";

/** Not the well-known ports (RFC 6335 section 6). */
const FIRST: u32 = 1024;
const PORTS: u32 = 64512;
/** Has no divisor in common with PORTS, so that the steps meet each port once before they meet one again. */
const STRIDE: u32 = 39979;
/** Ports that one call of the engine may try, and of these one packet. A try takes some 20 ns. */
const TRIES_PER_CALL: u32 = 8192;
const TRIES_PER_PACKET: u32 = 4096;

/** To be called when a call of the engine begins. */
export function allowPortTries(): void {
  store<u32>(workerAt, TRIES_PER_CALL, WORKER_PORT_TRIES);
}

/** False if no free port was found; a packet without such a port has no other. */
export function claimWirePort(flow: usize, packet: Packet, nowMs: u32): bool {
  setWirePort(flow, packet.sourcePort, packet);
  if (claimAnswers(flow, nowMs)) return true;
  if (!packet.hasSourcePort) return false;
  const allowed = load<u32>(workerAt, WORKER_PORT_TRIES);
  const tries = min<u32>(allowed, TRIES_PER_PACKET);
  let cursor = load<u32>(workerAt, WORKER_PORT_CURSOR);
  let tried: u32 = 0;
  let isFound: bool = false;
  while (!isFound && tried < tries) {
    tried++;
    cursor = ((cursor % PORTS) + STRIDE) % PORTS;
    const port = bswap<u16>(<u16>(FIRST + cursor));
    if (areAnswersTaken(flow, port)) continue;
    setWirePort(flow, port, packet);
    isFound = claimAnswers(flow, nowMs);
  }
  store<u32>(workerAt, cursor, WORKER_PORT_CURSOR);
  store<u32>(workerAt, allowed - tried, WORKER_PORT_TRIES);
  if (isFound) count(Counter.portsRewritten, 1);
  return isFound;
}

/** The deltas go with it: once its answers are claimed, another worker may translate by this record. */
function setWirePort(flow: usize, wirePort: u16, packet: Packet): void {
  store<u16>(flow, wirePort, FLOW_WIRE_PORT);
  const clientAddress = v128.load(flow, FLOW_CLIENT_INSTANCE_ADDRESS);
  const target = v128.load(flow, FLOW_TARGET);
  const answerAddress = v128.load(flow, FLOW_TARGET_INSTANCE_ADDRESS);
  const forward =
    addressDelta(packet.source, clientAddress) +
    addressDelta(packet.destination, target) +
    wordDelta(packet.sourcePort, wirePort);
  const reverse =
    addressDelta(answerAddress, packet.destination) +
    addressDelta(v128.load(flow, FLOW_ANSWERED), packet.source) +
    wordDelta(wirePort, packet.sourcePort);
  store<u16>(flow, <u16>fold(forward), FLOW_FORWARD_DELTA);
  store<u16>(flow, <u16>fold(reverse), FLOW_REVERSE_DELTA);
}
