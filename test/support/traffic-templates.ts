// Packets by shape, built once and patched: building each from nothing would take most of the time of random traffic.
import * as Protocol from "../../assembly/shared/protocol.ts";
import { FLAG, packet } from "./packet-builder.ts";
import type { Random } from "./random.ts";
import type { TwinFlow } from "./reference/flows.ts";
import { rawText } from "./reference/tables.ts";
import { echo, portless } from "./traffic-kinds.ts";

export const TCP_FLAGS = [
  FLAG.SYN,
  FLAG.ACK,
  FLAG.ACK,
  FLAG.ACK,
  FLAG.SYN | FLAG.ACK,
  FLAG.FIN | FLAG.ACK,
  FLAG.RST,
  0x18,
  0xff,
  0,
];

/** What traffic has to know of a flow to go on with it. */
export interface TrafficFlow
  extends Pick<TwinFlow, "protocol" | "clientAddress" | "clientPort" | "called" | "calledPort" | "wirePort">,
    Pick<TwinFlow, "answerSource" | "answerDestination"> {
  /** Where its instance is. */
  readonly target: { readonly node: string };
}

export class Templates {
  private readonly packets = new Map<string, Uint8Array>();

  packet(
    src: string,
    dst: string,
    isTcp: boolean,
    length: number,
    random: Random,
    sport: number,
    dport: number,
  ): Uint8Array {
    const name = `${src} ${dst} ${isTcp} ${length}`;
    let template = this.packets.get(name);
    if (template === undefined) {
      const ip = packet().ip(src, dst);
      template = (isTcp ? ip.tcp({ sport: 1, dport: 1 }) : ip.udp({ sport: 1, dport: 1 })).payload(length).bytes();
      if (this.packets.size < 20_000) this.packets.set(name, template);
    }
    return patch(template.slice(), isTcp, random, sport, dport);
  }

  /** An answer of the flow's instance. */
  answer(flow: TrafficFlow, random: Random): Uint8Array {
    const { answerSource, answerDestination } = flow;
    if (!hasPorts(flow.protocol)) {
      const ends = [rawText(answerSource), rawText(answerDestination)] as const;
      return this.of(flow.protocol, random, ...ends, flow.calledPort, flow.wirePort);
    }
    return this.between(answerSource, answerDestination, flow, random, flow.calledPort, flow.wirePort);
  }

  /** A packet of a flow's protocol between two addresses. */
  of(protocol: number, random: Random, src: string, dst: string, sport: number, dport: number): Uint8Array {
    if (hasPorts(protocol)) {
      return this.packet(src, dst, protocol === Protocol.TCP, random.below(40), random, sport, dport);
    }
    if (protocol !== Protocol.ICMP) return portless(random, src, dst, protocol);
    // The side that asked has the identifier; when it is zero either may have.
    const isRequest = sport !== 0 || (dport === 0 && random.chance(0.5));
    return echo(random, src, dst, isRequest ? sport : dport, isRequest);
  }

  /** A packet of the flow's protocol between two raw addresses. */
  between(
    source: string,
    destination: string,
    flow: TrafficFlow,
    random: Random,
    sport: number,
    dport: number,
  ): Uint8Array {
    const isV4 = source.length === 4;
    const any = isV4 ? "192.0.2.1" : "2001:db8::1";
    const bytes = this.packet(any, any, flow.protocol === Protocol.TCP, random.below(40), random, sport, dport);
    bytes.set(Buffer.from(source, "latin1"), isV4 ? 12 : 8);
    bytes.set(Buffer.from(destination, "latin1"), isV4 ? 16 : 24);
    return bytes;
  }
}

/** Other ports, flags and checksums; whether those are right makes no difference to a translator. */
function patch(bytes: Uint8Array, isTcp: boolean, random: Random, sport: number, dport: number): Uint8Array {
  const at = (bytes[0] as number) >> 4 === 4 ? 20 : 40;
  bytes[at] = sport >> 8;
  bytes[at + 1] = sport;
  bytes[at + 2] = dport >> 8;
  bytes[at + 3] = dport;
  if (isTcp) bytes[at + 13] = random.pick(TCP_FLAGS);
  const checksum = random.chance(0.02) ? random.pick([0, 0xffff]) : random.below(0x10000);
  bytes[at + (isTcp ? 16 : 6)] = checksum >> 8;
  bytes[at + (isTcp ? 17 : 7)] = checksum;
  return bytes;
}

export function hasPorts(protocol: number): boolean {
  return protocol === Protocol.TCP || protocol === Protocol.UDP;
}
