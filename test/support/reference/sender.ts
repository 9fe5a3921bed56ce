// What leaves the slow twin: datagrams to other nodes and packets for the TUN, finished, cut to their way and counted.
import * as Virtio from "../../../assembly/shared/virtio.ts";
import { fragmentsOf } from "../fragments.ts";
import type { Fit } from "./fit.ts";
import type { Ledger } from "./ledger.ts";
import { CARRIED_ALWAYS } from "./nodes.ts";
import { type Offload, type ParsedPacket, parse } from "./parser.ts";
import { finished, segmentCount, virtioAcross } from "./super-packet.ts";

/** A frame from the TUN, and the packet in it. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly packet: ParsedPacket;
  readonly offload: Offload;
}

export class TwinSender {
  constructor(private readonly ledger: Ledger) {}

  /** Sends a translated frame to another node. */
  toNode(endpoint: string, translated: Uint8Array, frame: Frame, { kind, segmentSize, mtu }: Fit): void {
    if (kind === "smallerSegments") this.ledger.meet("cut: smaller segments");
    finished(translated, { ...frame.offload, segmentSize }).forEach((whole, i) => {
      if (kind !== "fragments" || whole.length <= mtu) return this.send(endpoint, whole);
      if (segmentSize > 0) this.ledger.meet("cut: segments in fragments");
      for (const part of this.cut(whole, mtu, identificationOf(frame) + i)) this.send(endpoint, part);
    });
  }

  /** Sends a fragment other than the first. */
  laterToNode(endpoint: string, translated: Uint8Array, mtu: number): void {
    const parts = translated.length <= mtu ? [translated] : this.cut(translated, mtu, undefined);
    for (const part of parts) this.send(endpoint, part);
  }

  /** Puts a translated frame back into the TUN, unsegmented, as the workload's offloads left it. */
  toTun(translated: Uint8Array, frame: Frame, { kind, segmentSize, mtu }: Fit): void {
    if (kind === "fragments") {
      this.ledger.meet("cut: fragments within the node");
      finished(translated, { ...frame.offload, segmentSize }).forEach((whole, i) => {
        const parts = whole.length <= mtu ? [whole] : this.cut(whole, mtu, identificationOf(frame) + i);
        for (const part of parts) this.write("local", part);
      });
      return;
    }
    const delivered = parse(translated) as ParsedPacket;
    this.ledger.write(translated, virtioAcross(frame.bytes, frame.packet, delivered, segmentSize));
    this.count("local", delivered, segmentSize);
  }

  /** Puts a received packet that became IPv6 into the TUN, in fragments that every link takes. */
  cutIntoTun(translated: Uint8Array, datagram: Uint8Array): void {
    this.ledger.meet("cut: fragments of an answer");
    const id = new DataView(datagram.buffer, datagram.byteOffset).getUint16(4);
    for (const part of this.cut(translated, CARRIED_ALWAYS, id)) this.write("ingress", part);
  }

  /** A later fragment for the TUN, if need be in smaller ones. */
  laterToTun(direction: "ingress" | "local", translated: Uint8Array, mtu: number): void {
    const parts = translated.length <= mtu ? [translated] : this.cut(translated, mtu, undefined);
    for (const part of parts) this.write(direction, part);
  }

  /** A whole packet for the TUN. */
  write(direction: "ingress" | "local", packet: Uint8Array): void {
    this.ledger.write(packet);
    this.count(direction, parse(packet) as ParsedPacket, 0);
  }

  private send(endpoint: string, datagram: Uint8Array): void {
    this.ledger.send(endpoint, datagram);
    this.ledger.count("egressPackets");
    this.ledger.count("egressBytes", datagram.length);
  }

  /**
   * Fragments of at most `mtu` bytes (RFC 791 section 2.3). A packet that became IPv6 gets the fragment header that
   * RFC 7915 section 4.1 gives fragments, with the IPv4 identification in the lower half of its own.
   */
  private cut(packet: Uint8Array, mtu: number, identification: number | undefined): Uint8Array[] {
    const { version, headerLength, fragment } = parse(packet) as ParsedPacket;
    const room = mtu - (version === 4 ? headerLength : 48);
    this.ledger.count("packetsFragmented");
    if (fragment !== undefined) this.ledger.meet("cut: a fragment again");
    else this.ledger.meet(version === 4 ? "cut: IPv4 in fragments" : "cut: what became IPv6 in fragments");
    const isFirstCut = version === 6 && fragment === undefined && identification !== undefined;
    return fragmentsOf(packet, room - (room % 8), isFirstCut ? identification & 0xffff : undefined);
  }

  /** A super-packet counts as the segments that it would be on the wire. */
  private count(direction: "ingress" | "local", packet: ParsedPacket, segmentSize: number): void {
    const { totalLength, headerLength, transportLength } = packet;
    const count = segmentCount(packet, segmentSize);
    this.ledger.count(`${direction}Packets`, count);
    // Each segment repeats the headers.
    this.ledger.count(`${direction}Bytes`, totalLength + (count - 1) * (headerLength + transportLength));
  }
}

/** Of the packet in an IPv4 frame. */
function identificationOf({ bytes }: Frame): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint16(Virtio.SIZE + 4);
}
