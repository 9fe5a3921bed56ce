// Errors about datagrams that this node sent, from the error queue of the tunnel's socket. What our own kernel says of
// our own device is true. An ICMP error may come from anybody who knows two addresses and a port (RFC 5927): it is
// taken when it quotes what this node sends, and then only as a hint, which probes confirm or disprove.

import { count } from "../area/count.ts";
import { workerAt } from "../area/regions.ts";
import * as Header from "../record/header.ts";
import { NodeMetrics } from "../record/node-metrics.ts";
import { Probe } from "../record/probe.ts";
import { Counter } from "../shared/counters.ts";
import * as NodeLayout from "../shared/layout/node.ts";
import * as ProbeLayout from "../shared/layout/probe.ts";
import * as WorkerLayout from "../shared/layout/worker.ts";
import { isInServiceRange } from "../table/address.ts";
import { isEndpoint, isNodeKnown, metricsOf, nodeBehind, overheadTo } from "../table/node.ts";
import { IPV4_MIN_HEADER, Ipv4 } from "../wire/ipv4.ts";
import { IPV6_HEADER, Ipv6 } from "../wire/ipv6.ts";
import { v4Mapped } from "../wire/packet.ts";
import { findNote } from "./note.ts";
import { learnDeviceMtu, SIZE_MIN } from "./path-size.ts";

// asm-generic/errno.h
const EMSGSIZE = 90;
// linux/errqueue.h
const SO_EE_ORIGIN_LOCAL = 1;

/**
 * An error about a datagram to the sockaddr in WorkerLayout.ERROR_NAME, whose first `quoted` bytes are in
 * WorkerLayout.ERROR_QUOTE. `mtu` counts all headers.
 */
export function takePathError(errno: u32, origin: u32, mtu: u32, quoted: u32): void {
  const name = workerAt + WorkerLayout.ERROR_NAME;
  const size = mtu - min(mtu, overheadTo(name));
  if (origin == SO_EE_ORIGIN_LOCAL) {
    if (errno != EMSGSIZE) return;
    // About the address: the kernel does not name the port of a datagram that it did not send.
    for (let node = nodeBehind(name, NodeLayout.LOCAL); node != NodeLayout.LOCAL; node = nodeBehind(name, node)) {
      learnDeviceMtu(metricsOf(node), size);
    }
    return;
  }
  const nodes = Header.nodeCount.value;
  for (let node: u32 = NodeLayout.LOCAL + 1; node < nodes; node++) {
    if (isNodeKnown(node) && isEndpoint(name, node))
      return hint(node, errno, size, min<u32>(quoted, WorkerLayout.ERROR_QUOTE_SIZE));
  }
  count(Counter.pathErrorsForeign, 1);
}

function hint(node: u32, errno: u32, size: u32, quoted: u32): void {
  const metrics = metricsOf(node);
  const isSize = errno == EMSGSIZE;
  if (!isOurs(metrics, quoted, isSize ? size : 0)) return count(Counter.pathErrorsForeign, 1);
  count(Counter.pathErrors, 1);
  if (!isSize) metrics.refused.store(1);
  else if (size >= SIZE_MIN) metrics.hint.store(size);
  Header.probePauseMs.store(0);
}

/**
 * Whether the quoted datagram is one that we send: a probe that was not answered yet, or a packet from a service range
 * that is longer than what is said to fit (RFC 5927 section 7.2). Routers need not quote more than the UDP header.
 */
function isOurs(metrics: NodeMetrics, quoted: u32, size: u32): bool {
  const at = workerAt + WorkerLayout.ERROR_QUOTE;
  if (quoted == 0) return true;
  if (quoted >= <u32>ProbeLayout.ABILITIES_AT && Probe.at(at).magic == ProbeLayout.MAGIC) {
    return findNote(metrics, Probe.at(at).nonce) != null;
  }
  const version = load<u8>(at) >>> 4;
  if (version == 4 && quoted >= IPV4_MIN_HEADER) {
    return Ipv4.at(at).totalLength > size && isInServiceRange(v4Mapped(Ipv4.at(at).source));
  }
  // Its addresses may be cut off.
  return (
    version == 6 && quoted >= 24 && IPV6_HEADER + Ipv6.at(at).payloadLength > size && isInServiceRange(v128.load(at, 8))
  );
}
