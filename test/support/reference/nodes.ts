// What the slow twin knows of the way to each node: whether it answers probes, whether it refuses datagrams, and how
// large a packet may be that goes there in one piece.
import { PROBE_REPLY, PROBE_REQUEST, PROBE_SIZE, PROBE_VERSION } from "../../../assembly/shared/layout.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { Ledger } from "./ledger.ts";
import { endpointText, type TwinTables } from "./tables.ts";

/** A node is asked again after so long, and seems gone when it is silent for longer than two questions take. */
const SILENCE_MS = 3000;
/** A node that refused a datagram is tried again after so long. */
const REFUSAL_MS = 1000;
/** RFC 1191 section 6.3, RFC 8201 section 5.4: a path may become wider, which nobody tells. */
const MTU_LIFETIME_MS = 600_000;
/** Less is not believed, as Linux does not (net.ipv4.route.min_pmtu). */
const OUTER_MTU_MIN = 552;
/** RFC 8200 section 5, RFC 2473 section 7.1: carried in any case, if need be in fragments of the outer datagram. */
export const CARRIED_ALWAYS = 1280;
// errno of sendmsg() and of the socket's error queue
const EMSGSIZE = 90;
const ECONNREFUSED = 111;
const EHOSTUNREACH = 113;

interface Knowledge {
  probedMs: number | undefined;
  /** What a reply to the last probe must repeat; it is answered once. */
  expected: { readonly index: number; readonly nonce: bigint } | undefined;
  repliedMs: number | undefined;
  refusedMs: number | undefined;
  /** The largest packet that goes there in one datagram. */
  mtu: { readonly size: number; readonly learntMs: number } | undefined;
}

export class TwinNodes {
  private known = new Map<string, Knowledge>();

  constructor(
    private readonly tables: TwinTables,
    private readonly ledger: Ledger,
    private readonly probeIntervalMs: number,
  ) {}

  /** A node that left the tables is another one when it comes back. */
  apply(): void {
    const before = this.known;
    this.known = new Map(this.tables.nodeIds().map((id) => [id, before.get(id) ?? nothing()]));
  }

  /** The nodes that are to be probed now. */
  due(nowMs: number): { readonly id: string; readonly endpoint: string }[] {
    if (this.probeIntervalMs === 0) return [];
    return [...this.known]
      .filter(([, { probedMs }]) => probedMs === undefined || nowMs - probedMs >= this.probeIntervalMs)
      .map(([id]) => ({ id, endpoint: this.tables.endpointOf(id) as string }));
  }

  /** Sends a node the probe that the engine made for it. */
  probed(id: string, probe: Uint8Array, nowMs: number): void {
    const node = this.of(id);
    const view = viewOf(probe);
    node.probedMs = nowMs;
    node.expected = { index: view.getUint32(4, true), nonce: view.getBigUint64(8, true) };
    this.ledger.send(this.tables.endpointOf(id) as string, probe);
    this.ledger.count("probesSent");
  }

  /** A probe, or the reply to one, from the tunnel. */
  receiveProbe(
    sender: { readonly address: string; readonly port: number },
    from: string,
    probe: Uint8Array,
    nowMs: number,
  ): DropReason {
    if (probe.length < PROBE_SIZE || probe[2] !== PROBE_VERSION) return DropReason.badProbe;
    if (probe[3] === PROBE_REQUEST) {
      const reply = probe.slice(0, PROBE_SIZE);
      reply[3] = PROBE_REPLY;
      this.ledger.send(endpointText(sender.address, sender.port), reply);
      this.ledger.count("probesAnswered");
      return DropReason.none;
    }
    const view = viewOf(probe);
    const [index, nonce] = [view.getUint32(4, true), view.getBigUint64(8, true)];
    const answering = [...this.known].find(
      ([id, { expected }]) => expected?.index === index && expected.nonce === nonce && id === from,
    )?.[1];
    if (probe[3] !== PROBE_REPLY || answering === undefined) return DropReason.badProbe;
    answering.expected = undefined;
    answering.repliedMs = nowMs;
    this.ledger.count("probeReplies");
    return DropReason.none;
  }

  /** The kernel said that a datagram to the machine with this address did not arrive, and why; or what would. */
  pathError(errno: number, address: string, outerMtu: number, nowMs: number): void {
    // IP and UDP header
    const size = outerMtu - (address.includes(":") ? 48 : 28);
    for (const [id, node] of this.known) {
      if (this.tables.addressOf(id) !== address) continue;
      if (errno === ECONNREFUSED || errno === EHOSTUNREACH) node.refusedMs = nowMs;
      if (errno === EMSGSIZE && outerMtu >= OUTER_MTU_MIN) node.mtu = { size, learntMs: nowMs };
    }
  }

  /** The largest packet that goes to a node in one datagram, as far as is known. */
  mtu(id: string, nowMs: number): number {
    const { mtu } = this.of(id);
    return mtu === undefined || nowMs - mtu.learntMs >= MTU_LIFETIME_MS ? Number.POSITIVE_INFINITY : mtu.size;
  }

  /** The largest packet that is carried to a node. */
  pathMtu(id: string, nowMs: number): number {
    return Math.max(this.mtu(id, nowMs), CARRIED_ALWAYS);
  }

  /** Whether a packet of that length would not have fit what was learnt and is forgotten. */
  wasTooBig(id: string, length: number, nowMs: number): boolean {
    const { mtu } = this.of(id);
    return mtu !== undefined && this.mtu(id, nowMs) !== mtu.size && length > Math.max(mtu.size, CARRIED_ALWAYS);
  }

  /** Whether new flows may go there. Nothing is said of a node that never answered: it may be no sapwood. */
  isReachable(id: string, nowMs: number): boolean {
    const { probedMs, repliedMs, refusedMs } = this.of(id);
    if (repliedMs === undefined || probedMs === undefined) return true;
    if (refusedMs !== undefined && refusedMs > repliedMs && nowMs - refusedMs < REFUSAL_MS) {
      this.ledger.meet("node unreachable: it refused a datagram");
      return false;
    }
    if (probedMs - repliedMs <= Math.max(SILENCE_MS, 2 * this.probeIntervalMs)) return true;
    this.ledger.meet("node unreachable: it is silent");
    return false;
  }

  private of(id: string): Knowledge {
    return this.known.get(id) ?? nothing();
  }
}

function nothing(): Knowledge {
  return { probedMs: undefined, expected: undefined, repliedMs: undefined, refusedMs: undefined, mtu: undefined };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
