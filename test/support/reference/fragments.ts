// The slow twin's fragments: what became of first ones, and later ones that wait for theirs. Nothing is reassembled.
import type { ParsedPacket } from "./parser.ts";

/** RFC 8200 section 4.5 lets a receiver wait for 60 seconds; Linux waits for 30. */
const REMEMBERED_MS = 30_000;
/** First fragments that are remembered, repetitions included. */
const NOTED_MAX = 1024;
const HELD_MS = 1000;
const HELD_PER_PACKET = 16;
const HELD_MAX = 64;
const HELD_BYTES_MAX = 256 * 1024;

/** "egress", or the address of the node that sent it. */
export type Origin = string;

interface Held<Item> {
  readonly origin: Origin;
  readonly key: string;
  readonly item: Item;
  readonly size: number;
  readonly sinceMs: number;
}

/** `Way` is what becomes of every fragment of a packet, `Item` a fragment that waits. */
export class TwinFragments<Way, Item> {
  private readonly ways = new Map<string, { readonly way: Way; readonly sinceMs: number; readonly number: number }>();
  private readonly notedMs: number[] = [];

  constructor(private readonly onForgotten: () => void) {}
  private held: Held<Item>[] = [];

  /** A first fragment went this way; hands back the ones that waited for it, in their order. */
  note(origin: Origin, packet: ParsedPacket, way: Way, nowMs: number): Item[] {
    const key = keyOf(origin, packet);
    const replacedMs = this.notedMs[this.notedMs.length - NOTED_MAX];
    if (replacedMs !== undefined && nowMs - replacedMs < REMEMBERED_MS) this.onForgotten();
    this.ways.set(key, { way, sinceMs: nowMs, number: this.notedMs.push(nowMs) });
    const released = this.held.filter((one) => one.key === key);
    this.held = this.held.filter((one) => one.key !== key);
    return released.map(({ item }) => item);
  }

  wayOf(origin: Origin, packet: ParsedPacket, nowMs: number): Way | undefined {
    const known = this.ways.get(keyOf(origin, packet));
    if (known === undefined || nowMs - known.sinceMs >= REMEMBERED_MS) return undefined;
    return known.number <= this.notedMs.length - NOTED_MAX ? undefined : known.way;
  }

  /** Keeps a fragment whose first one did not come yet. False: there is no room. */
  hold(origin: Origin, packet: ParsedPacket, item: Item, nowMs: number): boolean {
    const key = keyOf(origin, packet);
    const bytes = this.held.reduce((sum, { size }) => sum + size, packet.totalLength);
    const ofPacket = this.held.filter((one) => one.key === key).length;
    if (this.held.length === HELD_MAX || bytes > HELD_BYTES_MAX || ofPacket === HELD_PER_PACKET) return false;
    this.held.push({ origin, key, item, size: packet.totalLength, sinceMs: nowMs });
    return true;
  }

  /** Drops what has waited for too long; says for each where it came from. */
  expire(nowMs: number): Origin[] {
    const expired = this.held.filter(({ sinceMs }) => nowMs - sinceMs >= HELD_MS);
    this.held = this.held.filter(({ sinceMs }) => nowMs - sinceMs < HELD_MS);
    return expired.map(({ origin }) => origin);
  }
}

/** RFC 791 tells packets apart by their protocol too; RFC 8200 section 4.5 does not. */
function keyOf(origin: Origin, { version, source, destination, protocol, fragment }: ParsedPacket): string {
  return `${origin} ${fragment?.id} ${version === 4 ? protocol : "any"} ${source}${destination}`;
}
