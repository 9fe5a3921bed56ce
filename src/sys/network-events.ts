// Tells that somebody changed a link, an address, a route, a rule or a packet filter of this network namespace.
// The kernel sends a signal, so that nobody has to look as long as nothing happens: libuv polls no netlink socket.

import { NetlinkSocket } from "./netlink-socket.ts";
import { concerns, NETLINK_ROUTE, ROUTE_GROUPS } from "./route-events.ts";

const NETLINK_NETFILTER = 12;
const NFNLGRP_NFTABLES = 7; // linux/netfilter/nfnetlink.h
const ROUTE_BUFFER_SIZE = 1024 * 1024;
/** That something changed is all that is asked of packet filters, and an overrun says so as well. */
const FILTER_BUFFER_SIZE = 4096;
/** The most that are looked at in one go, so that many changes keep us from nothing else. */
const DATAGRAMS_MAX = 512;

/** What happened since the last look: nothing, something elsewhere, or something about what was asked for. */
export type NetworkChange = "none" | "elsewhere" | "ours";

export class NetworkEvents {
  readonly #routes: NetlinkSocket;
  readonly #filters: NetlinkSocket | undefined;
  #listener: (() => void) | undefined;

  constructor() {
    this.#routes = new NetlinkSocket({
      protocol: NETLINK_ROUTE,
      groups: ROUTE_GROUPS,
      bufferSize: ROUTE_BUFFER_SIZE,
    });
    this.#filters = openFilters();
  }

  /** False: the kernel has no nftables, or tells us nothing of it. */
  get tellsFilters(): boolean {
    return this.#filters !== undefined;
  }

  /** Calls `listener` when there is something to look at: at least once after the last look. */
  listen(listener: () => void): void {
    this.#listener = listener;
    // First, and for good: a signal that nobody listens to ends the process, also one that is under way at the end.
    if (!process.listeners("SIGIO").includes(stayAlive)) process.on("SIGIO", stayAlive);
    process.on("SIGIO", listener);
    for (const socket of [this.#routes, this.#filters]) socket?.signal();
  }

  /** "ours": something that may concern one of these interfaces, or a rule. Of `links` the routes do not matter. */
  look(interfaces: readonly number[], links: readonly number[]): NetworkChange {
    const elsewhere = this.#filters !== undefined && drain(this.#filters, () => false) !== "none";
    const found = drain(this.#routes, (datagram) => concerns(datagram, interfaces, links));
    return found === "none" && elsewhere ? "elsewhere" : found;
  }

  close(): void {
    for (const socket of [this.#routes, this.#filters]) socket?.close();
    if (this.#listener !== undefined) process.off("SIGIO", this.#listener);
    this.#listener = undefined;
  }
}

function stayAlive(): void {}

function openFilters(): NetlinkSocket | undefined {
  try {
    return new NetlinkSocket({
      protocol: NETLINK_NETFILTER,
      groups: [NFNLGRP_NFTABLES],
      bufferSize: FILTER_BUFFER_SIZE,
    });
  } catch {
    return undefined; // a kernel without it, or too few rights
  }
}

function drain(socket: NetlinkSocket, isOurs: (datagram: DataView) => boolean): NetworkChange {
  let change: NetworkChange = "none";
  for (let datagram = 0; datagram < DATAGRAMS_MAX; datagram++) {
    const found = socket.read();
    if (found === "none") return change;
    if (change !== "ours") change = found === "lost" || isOurs(found) ? "ours" : "elsewhere";
  }
  return "ours"; // there are more of them
}
