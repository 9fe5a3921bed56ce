// The slow twin's packets that wait while the control plane is asked for their address (docs/packet-path.md, "Unknown
// service addresses"): bounded, in their order, and refused in the end.
import * as RefusalLayout from "../../../assembly/shared/layout/refusal.ts";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import * as Virtio from "../../../assembly/shared/virtio.ts";
import type { Ledger } from "./ledger.ts";
import type { ParsedPacket } from "./parser.ts";
import type { Frame } from "./sender.ts";
import { blocksOf, largestOwner, type Waiting } from "./shares.ts";
import type { TwinTables } from "./tables.ts";

/** Room for all packets that wait. */
const BLOCKS = 768;
/** How long an address is refused without asking. */
const REFUSED_MS = 1000;

/** What may wait: how long, packets per address, bytes in all. */
export interface ParkOptions {
  readonly timeoutMs: number;
  readonly packets: number;
  readonly bytes: number;
  /** The set in which the engine remembers that an address was refused. */
  readonly placeOf: (address: string) => number;
  /** The set in which it remembers who called a workload. */
  readonly callerPlaceOf: (caller: string, workload: string) => number;
}

interface Parked extends Waiting {
  readonly frame: Uint8Array;
  readonly address: string;
  readonly sinceMs: number;
}

interface Refusal {
  readonly address: string;
  /** The control plane said so; else nobody answered. */
  readonly isDenial: boolean;
  readonly owner: string;
  readonly atMs: number;
}

export class TwinPark {
  private waiting: Parked[] = [];
  private isLettingGo = false;
  /** What the control plane refused and the worker has not looked at. */
  private told: Pick<Refusal, "address" | "atMs">[] = [];
  /** By set: addresses of one set push each other out. */
  private readonly refused = new Map<number, (Refusal | undefined)[]>();

  constructor(
    private readonly options: ParkOptions | undefined,
    private readonly tables: TwinTables,
    private readonly ledger: Ledger,
  ) {}

  /**
   * Keeps a frame to an unknown address; else says why not. What is urgent takes none of the room that its workload has
   * for all else.
   */
  take({ bytes, packet, offload }: Frame, isUrgent: boolean, nowMs: number): DropReason {
    if (this.options === undefined) return DropReason.unknownAddress;
    const address = packet.destination;
    this.learn(nowMs);
    if (this.isRefused(address, nowMs)) {
      this.ledger.meet("parked: no, the address was refused just now");
      return DropReason.unknownAddress;
    }
    const frame = bytes.slice(0, Virtio.SIZE + packet.totalLength);
    const workload = this.tables.ownerOf(packet.source) ?? "others";
    const owner = isUrgent ? `${workload}, urgent` : workload;
    const ahead = this.waitingFor(address).length;
    const isKnown = this.tables.address(address) !== undefined;
    const mayWait =
      frame.length <= this.options.bytes &&
      (ahead < this.options.packets || this.crowdOut(owner, frame.length, address)) &&
      this.makeRoom(isKnown ? undefined : owner, frame.length);
    if (!mayWait) {
      this.ledger.meet(`parked: no, too many ${ahead < this.options.packets ? "bytes" : "packets"}`);
      return DropReason.holdFull;
    }
    this.waiting.push({ frame, length: frame.length, owner, address, sinceMs: nowMs });
    this.ledger.count("packetsParked");
    if (ahead === 0) this.ledger.count("addressesAsked");
    this.ledger.meet(kindOf(packet, offload.segmentSize));
    return DropReason.none;
  }

  /** Whether the control plane is asked for addresses. */
  get mayAsk(): boolean {
    return this.options !== undefined;
  }

  /** Whether the control plane said just now that there is no such address. */
  isDenied(address: string, nowMs: number): boolean {
    return this.refusalOf(address, nowMs)?.isDenial === true;
  }

  /** Whether packets to the address wait, so that others do behind them. */
  isAwaited(address: string): boolean {
    return !this.isLettingGo && this.waiting.some((one) => one.address === address);
  }

  /** The control plane says that there is no such address. */
  refuse(address: string, nowMs: number): void {
    this.told = [...this.told, { address, atMs: nowMs }].slice(-RefusalLayout.MAX);
  }

  /** Hands over in their order the frames that need not wait any longer, by way of `go` or of `giveUp`. */
  letGo(
    nowMs: number,
    isKnown: (address: string) => boolean,
    go: (frame: Uint8Array) => void,
    giveUp: (frame: Uint8Array) => void,
  ): void {
    this.learn(nowMs);
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

  private waitingFor(address: string): Parked[] {
    return this.waiting.filter((one) => one.address === address);
  }

  private makeRoom(claimant: string | undefined, length: number): boolean {
    const limit = this.options?.bytes ?? 0;
    const isFull = (): boolean =>
      this.waiting.reduce((sum, one) => sum + one.length, length) > limit ||
      this.waiting.reduce((sum, one) => sum + blocksOf(one.length), blocksOf(length)) > BLOCKS;
    while (isFull()) {
      if (!this.crowdOut(claimant, length)) return false;
    }
    return true;
  }

  /**
   * Drops the oldest packet of whoever has most, of all packets or of those to an address; never one to an address that
   * is known meanwhile.
   */
  private crowdOut(claimant: string | undefined, length: number, address?: string): boolean {
    const among = address === undefined ? this.waiting : this.waitingFor(address);
    const largest = largestOwner(among, claimant, length);
    const goes = among.find((one) => one.owner === largest && this.tables.address(one.address) === undefined);
    if (goes === undefined) return false;
    this.waiting.splice(this.waiting.indexOf(goes), 1);
    this.ledger.drop("egress", DropReason.holdFull);
    this.ledger.meet("parked: made place for another one's");
    return true;
  }

  /** A packet whose time is up takes those to the same address with it. */
  private isGivenUp({ address, owner, sinceMs }: Parked, nowMs: number): boolean {
    if (this.isRefused(address, nowMs)) {
      this.ledger.meet("parked: given up, the address was refused");
      return true;
    }
    if (nowMs - sinceMs < (this.options?.timeoutMs ?? 0)) return false;
    this.remember({ address, isDenial: false, owner, atMs: nowMs }, nowMs);
    this.ledger.meet("parked: given up, its time is over");
    return true;
  }

  private learn(nowMs: number): void {
    for (const { address, atMs } of this.told) {
      const owner = this.waitingFor(address)[0]?.owner ?? "others";
      this.remember({ address, isDenial: true, owner, atMs }, nowMs);
    }
    this.told = [];
  }

  /** In the place of the same address, else of what is over, else of the oldest of whoever has most of the set. */
  private remember(refusal: Refusal, nowMs: number): void {
    const set = this.setOf(refusal.address);
    const isOver = (one: Refusal | undefined): boolean => one === undefined || nowMs - one.atMs >= REFUSED_MS;
    const same = set.findIndex((one) => one?.address === refusal.address);
    const over = set.findIndex(isOver);
    const shareOf = (owner: string | undefined): number => set.filter((one) => one?.owner === owner).length;
    const [crowded] = [...set.keys()].sort(
      (a, b) => shareOf(set[b]?.owner) - shareOf(set[a]?.owner) || (set[a]?.atMs ?? 0) - (set[b]?.atMs ?? 0) || a - b,
    );
    set[same !== -1 ? same : over !== -1 ? over : (crowded as number)] = refusal;
  }

  private isRefused(address: string, nowMs: number): boolean {
    return this.refusalOf(address, nowMs) !== undefined;
  }

  private refusalOf(address: string, nowMs: number): Refusal | undefined {
    return this.setOf(address).find((one) => one?.address === address && nowMs - one.atMs < REFUSED_MS);
  }

  private setOf(address: string): (Refusal | undefined)[] {
    const number = this.options?.placeOf(address) ?? 0;
    const set = this.refused.get(number) ?? new Array<Refusal | undefined>(RefusalLayout.REFUSED_SET).fill(undefined);
    this.refused.set(number, set);
    return set;
  }
}

function kindOf({ fragment }: ParsedPacket, segmentSize: number) {
  if (segmentSize > 0) return "parked: a super-packet";
  return fragment?.offset === 0 ? "parked: a first fragment" : "parked: a packet";
}
