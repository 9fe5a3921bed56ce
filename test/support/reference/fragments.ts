// The slow twin's fragments: how first ones were translated, and later ones that wait for theirs. Nothing is
// reassembled.
import type { ParsedPacket } from "./parser.ts";
import { largestOwner, type Waiting } from "./shares.ts";

/** RFC 8200 section 4.5 lets a receiver wait for 60 seconds; Linux waits for 30. */
const REMEMBERED_MS = 30_000;
/** First fragments that are remembered. */
const NOTED_MAX = 1024;
/** Places of which one is taken when another first fragment comes, evenly spread. */
const LOOKED_AT = 16;
const HELD_MS = 1000;
const HELD_PER_PACKET = 16;
const HELD_MAX = 64;
const HELD_BYTES_MAX = 256 * 1024;

/** "egress", or the node that sent it. */
export type Origin = string;

interface Held<Item> extends Waiting {
  readonly origin: Origin;
  readonly key: string;
  readonly item: Item;
  readonly sinceMs: number;
}

interface Noted<Way> {
  readonly key: string;
  readonly owner: string;
  readonly way: Way;
  readonly sinceMs: number;
}

/** `Way` says how every fragment of a packet is treated, `Item` is a fragment that waits. */
export class TwinFragments<Way, Item> {
  private readonly noted: (Noted<Way> | undefined)[] = new Array(NOTED_MAX).fill(undefined);
  private readonly places = new Map<string, number>();
  private nextPlace = 0;

  constructor(private readonly onForgotten: () => void) {}
  private held: Held<Item>[] = [];

  /** A first fragment went this way; hands back the ones that waited for it, in their order. */
  note(origin: Origin, owner: string, packet: ParsedPacket, way: Way, nowMs: number): Item[] {
    const key = keyOf(origin, packet);
    const known = this.places.get(key);
    const place = known !== undefined && this.isFresh(known, nowMs) ? known : this.makePlace(nowMs);
    this.noted[place] = { key, owner, way, sinceMs: nowMs };
    this.places.set(key, place);
    const released = this.held.filter((one) => one.key === key);
    this.held = this.held.filter((one) => one.key !== key);
    return released.map(({ item }) => item);
  }

  wayOf(origin: Origin, packet: ParsedPacket, nowMs: number): Way | undefined {
    const place = this.places.get(keyOf(origin, packet));
    return place !== undefined && this.isFresh(place, nowMs) ? this.noted[place]?.way : undefined;
  }

  /**
   * Keeps a fragment whose first one did not come yet, if there is room or can be made; says for those that made place
   * for it where they came from.
   */
  hold(
    origin: Origin,
    owner: string,
    packet: ParsedPacket,
    item: Item,
    nowMs: number,
  ): { readonly isHeld: boolean; readonly crowdedOut: readonly Origin[] } {
    const key = keyOf(origin, packet);
    const length = packet.totalLength;
    const crowdedOut: Origin[] = [];
    if (this.held.filter((one) => one.key === key).length === HELD_PER_PACKET) return { isHeld: false, crowdedOut };
    while (this.isFull(length)) {
      const largest = largestOwner(this.held, owner, length);
      const goes = this.held.findIndex((one) => one.owner === largest);
      if (goes === -1) return { isHeld: false, crowdedOut };
      crowdedOut.push(...this.held.splice(goes, 1).map((one) => one.origin));
    }
    this.held.push({ origin, owner, key, item, length, sinceMs: nowMs });
    return { isHeld: true, crowdedOut };
  }

  /** Drops what has waited for too long; says for each where it came from. */
  expire(nowMs: number): Origin[] {
    const expired = this.held.filter(({ sinceMs }) => nowMs - sinceMs >= HELD_MS);
    this.held = this.held.filter(({ sinceMs }) => nowMs - sinceMs < HELD_MS);
    return expired.map(({ origin }) => origin);
  }

  private isFull(length: number): boolean {
    const bytes = this.held.reduce((sum, one) => sum + one.length, length);
    return this.held.length === HELD_MAX || bytes > HELD_BYTES_MAX;
  }

  private isFresh(place: number, nowMs: number): boolean {
    const noted = this.noted[place];
    return noted !== undefined && nowMs - noted.sinceMs < REMEMBERED_MS;
  }

  /**
   * Of the places in turn the first one that is free or over; else the one that is the longest with whoever has most of
   * them, which is forgotten.
   */
  private makePlace(nowMs: number): number {
    const places = Array.from(
      { length: LOOKED_AT },
      (_, i) => (this.nextPlace + (i * NOTED_MAX) / LOOKED_AT) % NOTED_MAX,
    );
    this.nextPlace = (this.nextPlace + 1) % NOTED_MAX;
    const free = places.find((place) => !this.isFresh(place, nowMs));
    const place = free ?? this.mostCrowded(places);
    const before = this.noted[place];
    if (before === undefined) return place;
    if (free === undefined) this.onForgotten();
    if (this.places.get(before.key) === place) this.places.delete(before.key);
    return place;
  }

  private mostCrowded(places: readonly number[]): number {
    const noted = places.map((place) => ({ place, noted: this.noted[place] as Noted<Way> }));
    const shareOf = (owner: string): number => noted.filter((one) => one.noted.owner === owner).length;
    const [first] = noted.sort(
      (a, b) =>
        shareOf(b.noted.owner) - shareOf(a.noted.owner) ||
        a.noted.sinceMs - b.noted.sinceMs ||
        places.indexOf(a.place) - places.indexOf(b.place),
    );
    return (first as { place: number }).place;
  }
}

/** RFC 791 tells packets apart by their protocol too; RFC 8200 section 4.5 does not. */
function keyOf(origin: Origin, { version, source, destination, protocol, fragment }: ParsedPacket): string {
  return `${origin} ${fragment?.id} ${version === 4 ? protocol : "any"} ${source}${destination}`;
}
