// What the slow twin put out, counted and met. Packets to a node are in their order; nodes among each other have
// none.
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { virtioFrame } from "../packet-builder.ts";
import type { CountName, Counts, DropName } from "./counts.ts";
import type { Situation } from "./situations.ts";

/** What came out, in the order in which it came; datagrams by the endpoint that they go to. */
export interface Output {
  readonly datagrams: Map<string, Uint8Array[]>;
  readonly tunWrites: Uint8Array[];
}

/** A place of the output: the datagram with this number to an endpoint, or the write to the TUN. */
export type Place = readonly [endpoint: string | "tun", index: number];

export class Ledger {
  /** How often each situation was met since the start. */
  readonly met = new Map<Situation, number>();
  private counts: Counts = {};
  private output: Output = { datagrams: new Map(), tunWrites: [] };

  /** What came out and was counted since the last call. */
  take(): { output: Output; counts: Counts } {
    const taken = { output: this.output, counts: this.counts };
    this.output = { datagrams: new Map(), tunWrites: [] };
    this.counts = {};
    return taken;
  }

  /** Where the next datagram to an endpoint, or the next write to the TUN, will be. */
  next(endpoint: string | undefined): Place {
    if (endpoint === undefined) return ["tun", this.output.tunWrites.length];
    return [endpoint, this.output.datagrams.get(endpoint)?.length ?? 0];
  }

  send(endpoint: string, datagram: Uint8Array): void {
    const place = this.output.datagrams.get(endpoint);
    if (place === undefined) this.output.datagrams.set(endpoint, [datagram]);
    else place.push(datagram);
  }

  /** A packet behind a virtio_net_hdr, by default one that says nothing. */
  write(packet: Uint8Array, virtio?: Uint8Array): void {
    this.output.tunWrites.push(virtio === undefined ? virtioFrame(packet, {}) : Buffer.concat([virtio, packet]));
  }

  drop(direction: "egress" | "ingress", reason: DropReason): void {
    this.count(`${direction}Drop.${DropReason[reason] as DropName}`);
  }

  count(name: CountName, by = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + by;
  }

  meet(situation: Situation): void {
    this.met.set(situation, (this.met.get(situation) ?? 0) + 1);
  }
}
