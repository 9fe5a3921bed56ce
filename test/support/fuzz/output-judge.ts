// Judges what an engine queued, packet by packet: lengths, checksums, and sources that the tables allow.

import * as Protocol from "../../../assembly/shared/protocol.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import type { Tables } from "../../../src/model/tables.ts";
import { ADDRESS_SIZE, type Prefix, parsePrefix } from "../../../src/net/address.ts";
import type { EngineMemory } from "../engine-memory.ts";
import { addressBytes, addressText } from "../packet-builder.ts";
import { addressSum, checksumAt, ipLength, sumOf } from "./packet-fields.ts";

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;

export class OutputJudge {
  private readonly ranges: readonly Prefix[];
  private readonly own: ReadonlySet<string>;
  /** Instance addresses that were ever of this node. */
  private readonly local = new Set<string>();

  /** `ranges` are those of services, `own` the addresses of the node itself. */
  constructor(
    private readonly nodeId: string,
    ranges: readonly string[],
    own: readonly string[],
  ) {
    this.ranges = ranges.map(parsePrefix);
    this.own = new Set(own.map(canonical));
  }

  /** These tables are in force. */
  allow({ services }: Tables): void {
    for (const { node, instanceAddresses } of services.flatMap(({ instances }) => instances)) {
      if (node === this.nodeId) for (const address of instanceAddresses) this.local.add(canonical(address));
    }
  }

  /** Throws a sentence. `isWhole` says that all that came in had right checksums, so that what leaves must have them. */
  judge(io: EngineMemory, isWhole: boolean): number {
    let packets = 0;
    for (const { datagrams, endpoint } of io.sentMessages()) {
      for (const bytes of datagrams) {
        packets++;
        if (bytes[0] === 0x53) continue; // a probe
        const what = `datagram to ${endpoint}`;
        this.judgePacket(bytes, what, isWhole);
        const source = addressText(sourceOf(bytes));
        if (!this.local.has(source)) throw refused(what, `source ${source}`, bytes);
      }
    }
    for (const { bytes } of io.tunWrites()) {
      packets++;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const [flags, gso] = [view.getUint8(0), view.getUint8(1)];
      if ((gso & 0x7f) !== 0 && (flags & 1) === 0) throw refused("TUN write", "virtio_net_hdr", bytes);
      if ((flags & 1) !== 0) {
        const field = Virtio.SIZE + view.getUint16(6, true) + view.getUint16(8, true);
        if (field + 2 > bytes.length) throw refused("TUN write", "place of the checksum", bytes);
      }
      const packet = bytes.subarray(Virtio.SIZE);
      this.judgePacket(packet, "TUN write", isWhole && flags === 0);
      const source = sourceOf(packet);
      if (!this.mayDeliver(source) && !isIcmp(packet))
        throw refused("TUN write", `source ${addressText(source)}`, packet);
    }
    return packets;
  }

  private judgePacket(bytes: Uint8Array, what: string, isWhole: boolean): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const version = (bytes[0] ?? 0) >>> 4;
    if (version !== 4 && version !== 6) throw refused(what, "version", bytes);
    const isV4 = version === 4;
    const header = isV4 ? ((bytes[0] as number) & 15) * 4 : IPV6_HEADER;
    if (header < (isV4 ? IPV4_HEADER : IPV6_HEADER) || bytes.length < header) throw refused(what, "header", bytes);
    const length = ipLength(view, 0);
    if (length !== bytes.length) throw refused(what, `length ${length} of ${bytes.length}`, bytes);
    if (isWhole && !hasRightHeader(view)) throw refused(what, "header checksum", bytes);
    if (isWhole && !hasRightChecksum(view, bytes.length)) throw refused(what, "checksum", bytes);
  }

  /** A service or an instance, or this node itself; a router may tell an error. */
  private mayDeliver(source: Uint8Array): boolean {
    const mapped = source.length === 4 ? Buffer.from([...Array<number>(10).fill(0), 0xff, 0xff, ...source]) : source;
    return (
      this.ranges.some(({ bytes, mask }) => {
        for (let i = 0; i < ADDRESS_SIZE; i++) {
          if (((mapped[i] as number) & (mask[i] as number)) !== bytes[i]) return false;
        }
        return true;
      }) || this.own.has(addressText(source))
    );
  }
}

/** Whether the checksum of the IP header is right, or there is none. */
export function hasRightHeader(view: DataView): boolean {
  const first = view.getUint8(0);
  return first >>> 4 !== 4 || sumOf(view, 0, (first & 15) * 4, 0) === 0xffff;
}

/** Whether the checksum of the transport is right, or there is none to be judged. */
export function hasRightChecksum(view: DataView, length: number): boolean {
  const field = checksumAt(view, 0, length);
  if (field === 0) return true;
  const isV4 = view.getUint8(0) >>> 4 === 4;
  const transport = isV4 ? (view.getUint8(0) & 15) * 4 : IPV6_HEADER;
  const protocol = view.getUint8(isV4 ? 9 : 6);
  if (isV4 && protocol === 17 && view.getUint16(field) === 0) return true;
  const size = protocol === 17 ? view.getUint16(transport + 4) : length - transport;
  if (protocol === 17 && (size < 8 || size > length - transport)) return false;
  const pseudo = protocol === Protocol.ICMP ? 0 : protocol + size + addressSum(view, 0, isV4);
  return sumOf(view, transport, size, pseudo) === 0xffff;
}

function sourceOf(bytes: Uint8Array): Uint8Array {
  return (bytes[0] as number) >>> 4 === 4 ? bytes.subarray(12, 16) : bytes.subarray(8, 24);
}

function isIcmp(bytes: Uint8Array): boolean {
  const protocol = bytes[(bytes[0] as number) >>> 4 === 4 ? 9 : 6];
  return protocol === Protocol.ICMP || protocol === Protocol.ICMPV6;
}

function canonical(address: string): string {
  return addressText(addressBytes(address));
}

function refused(what: string, why: string, bytes: Uint8Array): Error {
  return new Error(`${what} with a wrong ${why}: ${Buffer.from(bytes).toString("hex")}`);
}
