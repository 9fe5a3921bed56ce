// What the kernel's connection tracking holds about containers. A connection keeps its translation for as long as packets
// come, whatever the rules say meanwhile: so it is forgotten when the rules change for it. Promises: nothing throws. What
// cannot be forgotten is told, and ends by itself.
import { networkInterfaces } from "node:os";
import { reasonOf } from "../../../base/errors.ts";
import { deleteConnections, hasConntrack, listConnections } from "../../../sys/conntrack-command.ts";
import type { Family } from "../../../sys/iptables-command.ts";
import type { PortMapping } from "./port-mappings.ts";
import type { AddressPair } from "./subnet.ts";

export class Connections {
  readonly #tell: (sentence: string) => void;
  #isTold = false;

  constructor(tell: (sentence: string) => void) {
    this.#tell = tell;
  }

  /** Forgets all that a container had, so that the next one with its addresses gets nothing of it. */
  async forgetContainer({ v4, v6 }: AddressPair): Promise<void> {
    if (!this.#canForget()) return;
    // The client's end of what it began itself, and the answering end of what others began, before and after translation.
    const sides = ["--orig-src", "--reply-src"];
    await Promise.all(sides.flatMap((side) => [this.#forget(4, [side, v4]), this.#forget(6, [side, v6])]));
  }

  /**
   * Forgets datagrams to the node that came before their port was mapped: they would go on to the node itself. TCP needs
   * none of it, a new connection is translated anew.
   */
  async forgetUnmapped(mappings: readonly PortMapping[]): Promise<void> {
    const ports = mappings.flatMap(({ protocol, host }) => (protocol === "udp" ? [host] : []));
    if (ports.length === 0 || !this.#canForget()) return;
    const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    await Promise.all(ports.flatMap((port) => [this.#forgetTo(4, port, own), this.#forgetTo(6, port, own)]));
  }

  /** Most often there are none: to look takes one process, and not one for each address. */
  async #forgetTo(family: Family, port: number, own: readonly { readonly address: string }[]): Promise<void> {
    const filter = ["-p", "udp", "--orig-port-dst", String(port)];
    try {
      const lines = (await listConnections(family, filter)).split("\n");
      // The first of both destinations is that of the client.
      const called = new Set(lines.flatMap((line) => /\bdst=(\S+)/.exec(line)?.[1] ?? []));
      for (const { address } of own) {
        if (called.has(address)) await this.#forget(family, [...filter, "--orig-dst", address]);
      }
    } catch (error) {
      this.#tell(`connections to port ${port} may stay untranslated for a while: ${reasonOf(error)}`);
    }
  }

  async #forget(family: Family, filter: readonly string[]): Promise<void> {
    try {
      await deleteConnections(family, filter);
    } catch (error) {
      this.#tell(`connections of a container may stay translated for a while: ${reasonOf(error)}`);
    }
  }

  #canForget(): boolean {
    if (hasConntrack()) return true;
    if (!this.#isTold) {
      this.#tell("connections of containers that are undeployed stay translated for a while: install conntrack");
    }
    this.#isTold = true;
    return false;
  }
}
