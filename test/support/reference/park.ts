// The slow twin's packets that wait while the control plane is asked for their address (docs/architecture.md, "Unknown
// service addresses"): bounded, in their order, and refused in the end.
import { REFUSAL_MAX } from "../../../assembly/shared/layout.ts";
import { VIRTIO_NET_HDR_SIZE } from "../../../assembly/shared/protocols.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import type { Ledger } from "./ledger.ts";
import type { ParsedPacket } from "./parser.ts";
import type { Frame } from "./sender.ts";

/** How long an address is refused without asking. */
const REFUSED_MS = 1000;

/** What may wait: how long, packets per address, bytes in all. */
export interface ParkOptions {
  readonly timeoutMs: number;
  readonly packets: number;
  readonly bytes: number;
  /** Where the engine remembers that an address was refused. */
  readonly placeOf: (address: string) => number;
}

interface Parked {
  readonly frame: Uint8Array;
  readonly address: string;
  readonly sinceMs: number;
}

interface Refusal {
  readonly address: string;
  readonly atMs: number;
}

export class TwinPark {
  private waiting: Parked[] = [];
  private isLettingGo = false;
  /** What the control plane refused and the worker has not looked at. */
  private told: Refusal[] = [];
  /** By place: two addresses of one place push each other out. */
  private readonly refused = new Map<number, Refusal>();

  constructor(
    private readonly options: ParkOptions | undefined,
    private readonly ledger: Ledger,
  ) {}

  /** Keeps a frame to an unknown address; else says why not. */
  take({ bytes, packet, offload }: Frame, nowMs: number): DropReason {
    if (this.options === undefined) return DropReason.unknownAddress;
    const address = packet.destination;
    this.learn();
    if (this.isRefused(address, nowMs)) {
      this.ledger.meet("parked: no, the address was refused just now");
      return DropReason.unknownAddress;
    }
    const frame = bytes.slice(0, VIRTIO_NET_HDR_SIZE + packet.totalLength);
    const ahead = this.waiting.filter((one) => one.address === address).length;
    const size = this.waiting.reduce((sum, one) => sum + one.frame.length, frame.length);
    if (ahead === this.options.packets || size > this.options.bytes) {
      this.ledger.meet(`parked: no, too many ${size > this.options.bytes ? "bytes" : "packets"}`);
      return DropReason.holdFull;
    }
    this.waiting.push({ frame, address, sinceMs: nowMs });
    this.ledger.count("packetsParked");
    if (ahead === 0) this.ledger.count("addressesAsked");
    this.ledger.meet(kindOf(packet, offload.segmentSize));
    return DropReason.none;
  }

  /** Whether packets to the address wait, so that others do behind them. */
  isAwaited(address: string): boolean {
    return !this.isLettingGo && this.waiting.some((one) => one.address === address);
  }

  /** The control plane says that there is no such address. */
  refuse(address: string, nowMs: number): void {
    this.told = [...this.told, { address, atMs: nowMs }].slice(-REFUSAL_MAX);
  }

  /** Hands over in their order the frames that need not wait any longer, by way of `go` or of `giveUp`. */
  letGo(
    nowMs: number,
    isKnown: (address: string) => boolean,
    go: (frame: Uint8Array) => void,
    giveUp: (frame: Uint8Array) => void,
  ): void {
    this.learn();
    this.isLettingGo = true;
    for (const one of [...this.waiting]) {
      const goes = isKnown(one.address);
      if (!goes && !this.isGivenUp(one, nowMs)) continue;
      this.waiting.splice(this.waiting.indexOf(one), 1);
      if (goes) this.ledger.meet("parked: sent in the end");
      (goes ? go : giveUp)(one.frame);
    }
    this.isLettingGo = false;
  }

  /** A packet whose time is up takes those to the same address with it. */
  private isGivenUp({ address, sinceMs }: Parked, nowMs: number): boolean {
    if (this.isRefused(address, nowMs)) {
      this.ledger.meet("parked: given up, the address was refused");
      return true;
    }
    if (nowMs - sinceMs < (this.options?.timeoutMs ?? 0)) return false;
    this.remember({ address, atMs: nowMs });
    this.ledger.meet("parked: given up, its time is over");
    return true;
  }

  private learn(): void {
    for (const refusal of this.told) this.remember(refusal);
    this.told = [];
  }

  private remember(refusal: Refusal): void {
    this.refused.set(this.options?.placeOf(refusal.address) ?? 0, refusal);
  }

  private isRefused(address: string, nowMs: number): boolean {
    const refusal = this.refused.get(this.options?.placeOf(address) ?? 0);
    return refusal?.address === address && nowMs - refusal.atMs < REFUSED_MS;
  }
}

function kindOf({ fragment }: ParsedPacket, segmentSize: number) {
  if (segmentSize > 0) return "parked: a super-packet";
  return fragment?.offset === 0 ? "parked: a first fragment" : "parked: a packet";
}
