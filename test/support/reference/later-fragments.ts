// The slow twin's fragments other than the first: they are treated as the first one was, and wait for it if need be.
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { Across } from "./cross-family.ts";
import { mayFragment } from "./fit.ts";
import { type Origin, TwinFragments } from "./fragments.ts";
import type { Ledger } from "./ledger.ts";
import { CARRIED_ALWAYS, type TwinNodes } from "./nodes.ts";
import { type ParsedPacket, parse } from "./parser.ts";
import type { TwinSender } from "./sender.ts";
import { STRANGER, type TwinTables } from "./tables.ts";
import { translate } from "./translate.ts";
import type { TwinWays } from "./ways.ts";

/** How every fragment of a packet is translated and sent; without a node it goes into the TUN. */
interface FragmentWay {
  readonly source: string;
  readonly destination: string;
  readonly node: string | undefined;
}

interface LaterFragment {
  readonly packet: ParsedPacket;
  readonly bytes: Uint8Array;
}

export class TwinLaterFragments {
  private readonly fragments = new TwinFragments<FragmentWay, LaterFragment>(() =>
    this.ledger.count("fragmentsForgotten"),
  );

  constructor(
    private readonly tables: TwinTables,
    private readonly ways: TwinWays,
    private readonly nodes: TwinNodes,
    private readonly sender: TwinSender,
    private readonly ledger: Ledger,
    private readonly tunMtu: number,
    private readonly across: () => Across,
  ) {}

  /** Drops those whose first one does not come. */
  expire(nowMs: number): void {
    for (const origin of this.fragments.expire(nowMs)) this.drop(origin, DropReason.fragmentOrphan);
  }

  /**
   * Takes note of a packet's translation; if it is a first fragment, the others are treated alike, also those that
   * wait.
   */
  follow(origin: Origin, packet: ParsedPacket, translated: Uint8Array, node: string | undefined, nowMs: number): void {
    if (packet.fragment?.offset !== 0) return;
    const { source, destination } = parse(translated) as ParsedPacket;
    const way = { source, destination, node };
    for (const later of this.fragments.note(origin, this.ownerOf(origin, packet) ?? "others", packet, way, nowMs)) {
      this.ledger.meet(`later fragment, ${directionOf(origin)}: it waited`);
      const reason = this.passOn(origin, later, way);
      if (reason !== DropReason.none) this.drop(origin, reason);
    }
  }

  receive(origin: Origin, packet: ParsedPacket, bytes: Uint8Array, nowMs: number): DropReason {
    const fragment = { packet, bytes: bytes.slice(0, packet.totalLength) };
    const way = this.fragments.wayOf(origin, packet, nowMs);
    if (way !== undefined) return this.passOn(origin, fragment, way);
    const refusal = this.refusal(origin, packet);
    if (refusal !== DropReason.none) return refusal;
    const owner = this.ownerOf(origin, packet) as string;
    const { isHeld, crowdedOut } = this.fragments.hold(origin, owner, packet, fragment, nowMs);
    for (const other of crowdedOut) {
      this.drop(other, DropReason.holdFull);
      this.ledger.meet("later fragment: made place for another one's");
    }
    if (!isHeld) return DropReason.holdFull;
    this.ledger.count("fragmentsHeld");
    return DropReason.none;
  }

  /** What cannot be part of a flow of this node's workloads does not wait. */
  private refusal(origin: Origin, packet: ParsedPacket): DropReason {
    const { source, destination } = packet;
    if (origin === "egress") {
      if (!this.tables.inServiceRange(destination)) return DropReason.notServiceAddress;
      return this.tables.workload(source) === undefined ? DropReason.unknownWorkload : DropReason.none;
    }
    if (this.tables.workload(destination) === undefined) return DropReason.notLocalDestination;
    return this.ways.admitSource(packet, origin);
  }

  /** Whom the room is counted to that a fragment takes: its workload, or the node that it came from. */
  private ownerOf(origin: Origin, { source }: ParsedPacket): string | undefined {
    if (origin === "egress") return this.tables.ownerOf(source);
    return origin === STRANGER ? "others" : this.tables.addressOf(origin);
  }

  private passOn(origin: Origin, { packet, bytes }: LaterFragment, way: FragmentWay): DropReason {
    const ends = { ...packet, source: way.source, destination: way.destination };
    const translated = translate(bytes, packet, ends, "whole", this.across());
    if (typeof translated === "number") return translated;
    const { version } = parse(translated) as ParsedPacket;
    const change = version === packet.version ? "as it is" : version === 6 ? "became IPv6" : "became IPv4";
    this.ledger.meet(`later fragment, ${directionOf(origin)}: ${change}`);
    const endpoint = way.node === undefined ? undefined : this.tables.endpointOf(way.node);
    if (way.node !== undefined && endpoint === undefined) return DropReason.noNode;
    const mayCut = mayFragment(bytes, packet);
    const path = way.node === undefined ? Number.POSITIVE_INFINITY : this.nodes.pathMtu(way.node);
    const links = change === "became IPv6" ? (mayCut ? CARRIED_ALWAYS : this.tunMtu) : Number.POSITIVE_INFINITY;
    const mtu = Math.min(path, links);
    if (translated.length > mtu && !mayCut && origin === "egress") {
      this.ledger.meet("a later fragment is too big");
      return DropReason.tooBig;
    }
    const largest = mayCut ? mtu : Number.POSITIVE_INFINITY;
    if (endpoint !== undefined) this.sender.laterToNode(endpoint, translated, largest);
    else this.sender.laterToTun(origin === "egress" ? "local" : "ingress", translated, largest);
    return DropReason.none;
  }

  private drop(origin: Origin, reason: DropReason): void {
    this.ledger.drop(directionOf(origin), reason);
  }
}

function directionOf(origin: Origin): "egress" | "ingress" {
  return origin === "egress" ? "egress" : "ingress";
}
