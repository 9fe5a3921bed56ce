// The client's port on the wire: its own, unless another flow has the same answers already (one client, two addresses
// that lead to one instance). Then another one, as a NAT would.
//
// The search goes through all ports in one order, and each search goes on where the worker's last one ended. So a free
// port is found, if not by this packet then by one that the client repeats, and no call of the engine takes long.

import { count } from "../area/count.ts";
import { workerAt } from "../area/regions.ts";
import { Flow } from "../record/flow.ts";
import { WorkerArea } from "../record/worker.ts";
import { Counter } from "../shared/counters.ts";
import { setDeltas } from "../table/deltas.ts";
import { areAnswersTaken, claimAnswers, isSameFlow } from "../table/flow.ts";
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
  WorkerArea.at(workerAt).portTries = TRIES_PER_CALL;
}

/**
 * The flow itself, or the one that another worker opens or ends at this moment for packets of the same connection: with
 * another port they would be those of another one. 0 if no free port was found; a packet without such a port has no
 * other.
 */
export function claimWirePort(flow: usize, packet: Packet, nowMs: u32): usize {
  setWirePort(flow, packet.sourcePort);
  const owner = claimAnswers(flow, nowMs);
  if (owner == flow || (owner != 0 && isSameFlow(owner, flow))) return owner;
  if (!packet.hasSourcePort) return 0;
  const allowed = WorkerArea.at(workerAt).portTries;
  const tries = min<u32>(allowed, TRIES_PER_PACKET);
  let cursor = WorkerArea.at(workerAt).portCursor;
  let tried: u32 = 0;
  let isFound: bool = false;
  while (!isFound && tried < tries) {
    tried++;
    cursor = ((cursor % PORTS) + STRIDE) % PORTS;
    const port = bswap<u16>(<u16>(FIRST + cursor));
    if (areAnswersTaken(flow, port)) continue;
    setWirePort(flow, port);
    isFound = claimAnswers(flow, nowMs) == flow;
  }
  WorkerArea.at(workerAt).portCursor = cursor;
  WorkerArea.at(workerAt).portTries = allowed - tried;
  if (!isFound) return 0;
  count(Counter.portsRewritten, 1);
  return flow;
}

/** The deltas go with it: once its answers are claimed, another worker may translate by this record. */
function setWirePort(flow: usize, wirePort: u16): void {
  Flow.at(flow).wirePort = wirePort;
  setDeltas(flow);
}
