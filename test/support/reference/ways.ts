// Where a packet goes by the slow twin, as whom it comes and to whom: by its flow, or by that of the packet which an
// ICMP error is about.
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { otherFamily, type TwinFlow, type TwinFlows } from "./flows.ts";
import type { Ends, ParsedPacket } from "./parser.ts";
import { reversed } from "./rewrite.ts";
import type { TwinInstance, TwinTables } from "./tables.ts";

export interface Way {
  readonly target: TwinInstance;
  readonly ends: Ends;
  /** The flow that the packet is part of; an error is about one at most. */
  readonly flow: TwinFlow | undefined;
}

export class TwinWays {
  constructor(
    private readonly tables: TwinTables,
    private readonly flows: TwinFlows,
  ) {}

  /** The way out. */
  of(packet: ParsedPacket, nowMs: number): Way | DropReason {
    if (packet.embedded !== undefined) return this.ofError(packet, packet.embedded);
    if (!this.tables.inServiceRange(packet.destination)) return DropReason.notServiceAddress;
    const flow = this.flows.of(packet, nowMs);
    if (typeof flow === "number") return flow;
    return { target: flow.target, ends: forwardEnds(flow, packet), flow };
  }

  /** The flow that a packet answers, or that an ICMP error is about. */
  answeredFlow(packet: ParsedPacket): TwinFlow | undefined {
    const { embedded } = packet;
    return embedded === undefined
      ? this.flows.answered(packet, packet)
      : this.flows.answered(embedded, reversed(embedded));
  }

  /** Whether a packet that answers nothing may come in from a node. */
  admit(packet: ParsedPacket, sender: string): DropReason {
    if (packet.embedded !== undefined) return DropReason.unrelatedError;
    if (this.tables.workload(packet.destination) === undefined) return DropReason.notLocalDestination;
    return this.admitSource(packet, sender);
  }

  /** Whether a node may send in the name of a packet's source. */
  admitSource({ source }: ParsedPacket, sender: string): DropReason {
    if (!this.tables.inServiceRange(source)) return DropReason.notServiceSource;
    const known = this.tables.address(source);
    if (known === undefined) {
      return this.tables.acceptsUnknownSources(sender) ? DropReason.none : DropReason.unknownSource;
    }
    if (known.kind === "balanced") return DropReason.balancedSource;
    return this.tables.speaksFor(sender, known.instance.node) ? DropReason.none : DropReason.wrongNode;
  }

  /**
   * The way of an ICMP error: that of an answer to the packet that it is about. The node itself, as a router, speaks
   * for the workload (RFC 5508 section 4.2), nobody else does. No flow lives longer or shorter by it.
   */
  private ofError(packet: ParsedPacket, embedded: ParsedPacket): Way | DropReason {
    const answer = reversed(embedded);
    if (packet.destination !== answer.destination) return DropReason.unrelatedError;
    const client = this.tables.workload(answer.source);
    if (client === undefined) return DropReason.unknownWorkload;
    const speaker = this.tables.workload(packet.source);
    if (speaker !== client && !this.tables.isOwn(packet.source)) return DropReason.unrelatedError;
    const flow = this.flows.known(embedded, answer);
    if (flow !== undefined) return { target: flow.target, ends: forwardEnds(flow, answer), flow: undefined };

    const receiver = this.tables.address(answer.destination);
    if (receiver?.kind !== "instance") return DropReason.unrelatedError;
    const { namespace } = receiver.instance;
    const own = packet.version === 4 ? "v4" : "v6";
    const family = namespace[own] === undefined ? otherFamily(own) : own;
    const destination = namespace[family];
    if (destination === undefined) return DropReason.unrelatedError;
    const source = client.address[family];
    if (source === undefined) return DropReason.noAddressOfFamily;
    return { target: receiver.instance, ends: { ...answer, source, destination }, flow: undefined };
  }
}

function forwardEnds(flow: TwinFlow, { destinationPort }: Ends): Ends {
  return {
    source: flow.clientInstanceAddress,
    destination: flow.targetAddress,
    sourcePort: flow.wirePort,
    destinationPort,
  };
}

/** What the client gets of an answer, or of an error about a packet of its own. */
export function replyEnds(flow: TwinFlow, packet: ParsedPacket): Ends {
  const { sourcePort } = packet.embedded === undefined ? packet : reversed(packet.embedded);
  return {
    source: flow.called,
    destination: flow.clientAddress,
    sourcePort,
    destinationPort: flow.clientPort,
  };
}
