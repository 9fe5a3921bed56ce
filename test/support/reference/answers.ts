// What the slow twin tells clients whose packets go nowhere: ICMP errors as a router sends them (RFC 1812 section
// 4.3.2, RFC 4443 section 2.4) and TCP resets (RFC 9293 section 3.10.7.1), from the address that the client called.
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { FLAG, type PacketBuilder, packet } from "../packet-builder.ts";
import { sourceRouteAt } from "./cross-family.ts";
import { isMidStream, isOpeningAnswer } from "./flow-state.ts";
import type { Ledger } from "./ledger.ts";
import type { ParsedPacket } from "./parser.ts";
import type { Situation } from "./situations.ts";
import { rawText, type TwinTables, V4_MAPPED } from "./tables.ts";

export interface AnswerOptions {
  readonly icmp: boolean;
  readonly reset: boolean;
  /** How packets of flows whose node is lost are answered: their clients are told by ICMP, TCP's by a reset, or not. */
  readonly lost: "sent on" | "icmp" | "reset";
}

/** Type and code. */
type IcmpName = readonly [type: number, code: number];
interface IcmpNames {
  readonly v4: IcmpName;
  readonly v6: IcmpName;
}

const HOST_UNREACHABLE: IcmpNames = { v4: [3, 1], v6: [1, 3] };
const NETWORK_UNREACHABLE: IcmpNames = { v4: [3, 0], v6: [1, 0] };
/** RFC 1812 section 5.2.7.1, RFC 4443 section 3.1: communication administratively prohibited. */
const PROHIBITED: IcmpNames = { v4: [3, 13], v6: [1, 1] };
/** docs/protocols.md, "ICMP errors". */
const NAMES: Partial<Record<DropReason, IcmpNames>> = {
  [DropReason.unknownAddress]: HOST_UNREACHABLE,
  [DropReason.noInstance]: HOST_UNREACHABLE,
  [DropReason.nodeUnreachable]: HOST_UNREACHABLE,
  [DropReason.notServiceAddress]: NETWORK_UNREACHABLE,
  [DropReason.noNode]: NETWORK_UNREACHABLE,
  [DropReason.noAddressOfFamily]: NETWORK_UNREACHABLE,
  [DropReason.unknownWorkload]: PROHIBITED,
  [DropReason.tooBig]: { v4: [3, 4], v6: [2, 0] },
  [DropReason.sourceRoute]: { v4: [3, 5], v6: [4, 0] },
};
/** RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4 (c): the whole error is no longer than that. */
const LENGTH_MAX = { v4: 576, v6: 1280 };
/** RFC 1812 section 4.3.2.5. */
const INTERNETWORK_CONTROL = 0xc0;
const LOOPBACK = `${"\0".repeat(15)}\x01`;
const UNSPECIFIED = "\0".repeat(16);

export class TwinAnswers {
  /** docs/counters.md, icmpErrorsLimited. */
  private readonly ordinary = new Bucket(100, 50);
  private readonly urgent = new Bucket(1000, 1000);
  private readonly strangers = new Bucket(100, 50);

  constructor(
    private readonly options: AnswerOptions,
    private readonly tables: TwinTables,
    private readonly ledger: Ledger,
  ) {}

  /** The client of a packet that was dropped hears why, if it may; of one that was too big also what would have fit. */
  tell(bytes: Uint8Array, dropped: ParsedPacket, reason: DropReason, mtu: number, nowMs: number): void {
    const isLost = reason === DropReason.nodeUnreachable && this.options.lost === "reset" && isMidStream(dropped);
    const isReset = reason === DropReason.instanceGone || isLost;
    const names = isReset ? undefined : NAMES[reason];
    if (!isReset && (names === undefined || !this.options.icmp)) return;
    if (reason === DropReason.instanceGone && !this.options.reset) return;
    if ((names === HOST_UNREACHABLE || names === NETWORK_UNREACHABLE) && isOpeningAnswer(dropped)) {
      return this.ledger.meet("not told: an answer to an opening");
    }
    const refusal = this.refusal(dropped, reason, isReset || reason === DropReason.tooBig, nowMs);
    if (refusal !== undefined) return this.ledger.meet(refusal);
    const family = dropped.version === 4 ? "v4" : "v6";
    this.ledger.meet(`told in IP${family}: ${isLost ? "lostReset" : DropReason[reason]}` as Situation);
    if (names === undefined) {
      this.ledger.write(reset(bytes, dropped));
      return this.ledger.count("resetsSent");
    }
    const [type, code] = names[family];
    const isPointer = reason === DropReason.sourceRoute && dropped.version === 6;
    this.ledger.write(error(bytes, dropped, type, code, isPointer ? (sourceRouteAt(bytes, dropped) as number) : mtu));
    this.ledger.count("icmpErrorsSent");
  }

  /** RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e) and (f): what nothing is said about. */
  private refusal(dropped: ParsedPacket, reason: DropReason, isUrgent: boolean, nowMs: number): Situation | undefined {
    if ((dropped.fragment?.offset ?? 0) > 0) return "not told: a later fragment";
    if (!isOfHost(dropped.destination)) return "not told: nobody's address";
    if (reason === DropReason.unknownWorkload) {
      if (!canHear(dropped.source)) return "not told: no host of its own";
      if (this.tables.inServiceRange(dropped.source)) return "not told: a source in the service ranges";
    } else if (this.tables.workload(dropped.source) === undefined) return "not told: no workload of this node";
    const ordinary = reason === DropReason.unknownWorkload ? this.strangers : this.ordinary;
    if ((isUrgent ? this.urgent : ordinary).take(nowMs)) return undefined;
    this.ledger.count("icmpErrorsLimited");
    return isUrgent ? "not told: too many of sizes and resets" : "not told: too many";
  }
}

/** `word` is behind the checksum. */
function error(bytes: Uint8Array, dropped: ParsedPacket, type: number, code: number, word: number): Uint8Array {
  const room = dropped.version === 4 ? LENGTH_MAX.v4 - 28 : LENGTH_MAX.v6 - 48;
  const quoted = bytes.slice(0, Math.min(dropped.totalLength, room));
  const words = [word >>> 16, word & 0xffff] as const;
  return back(dropped).icmp({ type, code, words }).payload(quoted).bytes();
}

function reset(bytes: Uint8Array, dropped: ParsedPacket): Uint8Array {
  const acknowledgment = new DataView(bytes.buffer, bytes.byteOffset).getUint32(dropped.headerLength + 8);
  const { sourcePort, destinationPort } = dropped;
  return back(dropped)
    .tcp({ sport: destinationPort, dport: sourcePort, seq: acknowledgment, flags: FLAG.RST, window: 0 })
    .bytes();
}

/** From the address that was called, to the client. */
function back({ version, source, destination }: ParsedPacket): PacketBuilder {
  const [src, dst] = [rawText(destination), rawText(source)];
  return version === 4 ? packet().ipv4({ src, dst, tos: INTERNETWORK_CONTROL, id: 0 }) : packet().ipv6({ src, dst });
}

/**
 * Whether a host can have the address, so that an answer may come from it: it is neither a group's nor unspecified
 * (RFC 1122 section 3.2.1.3, RFC 4443 section 2.2), nor an IPv4 address in an IPv6 header.
 */
function isOfHost(address: string): boolean {
  const first = address.charCodeAt(0);
  if (address.length === 4) return first > 0 && first < 224;
  return first !== 0xff && address !== UNSPECIFIED && !address.startsWith(V4_MAPPED);
}

/** Whether exactly one other host can have the address, so that an answer may go to it. */
function canHear(address: string): boolean {
  const isLoopback = address.length === 4 ? address.charCodeAt(0) === 127 : address === LOOPBACK;
  return isOfHost(address) && !isLoopback;
}

/**
 * A token bucket (RFC 1812 section 4.3.2.8), full at first; counts thousandths, of which so many come per millisecond.
 */
class Bucket {
  private thousandths: number;
  private filledMs: number | undefined;

  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
  ) {
    this.thousandths = 1000 * burst;
  }

  take(nowMs: number): boolean {
    const elapsedMs = nowMs - (this.filledMs ?? nowMs);
    this.filledMs = nowMs;
    this.thousandths = Math.min(1000 * this.burst, this.thousandths + elapsedMs * this.perSecond);
    if (this.thousandths < 1000) return false;
    this.thousandths -= 1000;
    return true;
  }
}
