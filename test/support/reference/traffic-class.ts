// DSCP and ECN by their definitions: what of a packet's its outer header gets, and what the outer one's ECN means for
// the packet inside.
import { incremental } from "./checksum.ts";

/** RFC 3168 section 5, by value. */
const ECN_NAMES = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"] as const;
export type EcnName = (typeof ECN_NAMES)[number];

/** RFC 6040 figure 4: inside, then outside; undefined = the packet is dropped. */
const DECAPSULATED: Readonly<Record<EcnName, Readonly<Record<EcnName, EcnName | undefined>>>> = {
  "Not-ECT": { "Not-ECT": "Not-ECT", "ECT(0)": "Not-ECT", "ECT(1)": "Not-ECT", CE: undefined },
  "ECT(0)": { "Not-ECT": "ECT(0)", "ECT(0)": "ECT(0)", "ECT(1)": "ECT(1)", CE: "CE" },
  "ECT(1)": { "Not-ECT": "ECT(1)", "ECT(0)": "ECT(1)", "ECT(1)": "ECT(1)", CE: "CE" },
  CE: { "Not-ECT": "CE", "ECT(0)": "CE", "ECT(1)": "CE", CE: "CE" },
};

/** As in the configuration: `tunnel.dscp` and `tunnel.ecn`. */
export interface TwinOuterClass {
  readonly dscp: "copy" | number;
  readonly ecn: "copy" | "clear" | "auto";
}

interface Decapsulated {
  readonly inside: EcnName;
  readonly outside: EcnName;
  /** undefined = it is dropped. */
  readonly packet: Uint8Array | undefined;
  /** It has a CE mark now that it did not have. */
  readonly isMarked: boolean;
}

/** The TOS or traffic class of an IP packet. */
function trafficClassOf(packet: Uint8Array): number {
  const [first = 0, second = 0] = packet;
  return first >> 4 === 4 ? second : ((first & 15) << 4) | (second >> 4);
}

/** A copy of an IP packet with another TOS or traffic class, and the IPv4 header checksum that goes with it. */
export function withTrafficClass(packet: Uint8Array, trafficClass: number): Uint8Array {
  const copy = Uint8Array.from(packet);
  const view = new DataView(copy.buffer);
  const before = view.getUint16(0);
  if (before >> 12 === 4) {
    const after = (before & 0xff00) | trafficClass;
    view.setUint16(0, after);
    view.setUint16(10, incremental(view.getUint16(10), [before], [after]));
  } else {
    view.setUint16(0, (before & 0xf00f) | (trafficClass << 4));
  }
  return copy;
}

/** The TOS or traffic class of the datagram that carries a packet. */
export function outerClassOf(packet: Uint8Array, { dscp, ecn }: TwinOuterClass, nodeTakesEcn: boolean): number {
  const own = trafficClassOf(packet);
  const outerDscp = dscp === "copy" ? own >> 2 : dscp;
  const isCopied = ecn === "copy" || (ecn === "auto" && nodeTakesEcn);
  return (outerDscp << 2) | (isCopied ? own & 3 : 0);
}

export function decapsulate(packet: Uint8Array, outerClass: number): Decapsulated {
  const trafficClass = trafficClassOf(packet);
  const inside = ECN_NAMES[trafficClass & 3] as EcnName;
  const outside = ECN_NAMES[outerClass & 3] as EcnName;
  const becomes = DECAPSULATED[inside][outside];
  if (becomes === inside) return { inside, outside, packet, isMarked: false };
  const changed =
    becomes === undefined ? undefined : withTrafficClass(packet, (trafficClass & ~3) | ECN_NAMES.indexOf(becomes));
  return { inside, outside, packet: changed, isMarked: becomes === "CE" };
}
