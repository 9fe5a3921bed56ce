// Random fragments on their way: several packets at once, their fragments mostly in order, some late, twice or never.
import { fragmentsOf } from "./fragments.ts";
import { given } from "./given.ts";
import type { Random } from "./random.ts";

/** Packets whose fragments are on their way at the same time. */
const OPEN_MAX = 6;
/** Few, so that they are used again while the ones before are remembered. */
const IDENTIFICATIONS = [0, 1, 0xffff, 0x1234_5678];

interface Fragmented<Context> {
  readonly context: Context;
  readonly fragments: Uint8Array[];
}

/** The context is what a fragment's sender says beside the packet. */
export class FragmentTraffic<Context> {
  private readonly open: Fragmented<Context>[] = [];

  constructor(private readonly random: Random) {}

  /** The next fragment of one of the packets; `build` makes another packet. */
  next(build: () => { readonly context: Context; readonly packet: Uint8Array }): {
    readonly context: Context;
    readonly bytes: Uint8Array;
  } {
    const { random } = this;
    if (this.open.length === 0 || (this.open.length < OPEN_MAX && random.chance(0.3))) {
      const { context, packet } = build();
      this.open.push({ context, fragments: this.disordered(packet) });
    }
    const chosen = random.pick(this.open);
    const bytes = chosen.fragments.shift() as Uint8Array;
    if (chosen.fragments.length === 0) this.open.splice(this.open.indexOf(chosen), 1);
    return { context: chosen.context, bytes };
  }

  private disordered(packet: Uint8Array): Uint8Array[] {
    const { random } = this;
    const isLarge = packet.length > 1500 && random.chance(0.9);
    // The smallest ones do not hold a transport header, and the largest may not fit a tunnel.
    const size = 8 * (isLarge ? random.between(160, 180) : random.chance(0.1) ? 1 : random.between(3, 20));
    const fragments = fragmentsOf(packet, size, random.pick(IDENTIFICATIONS));
    // A smaller first one says nothing of the size of the others.
    if (isLarge && random.chance(0.8)) {
      fragments.unshift(...fragmentsOf(fragments.shift() as Uint8Array, 8 * random.between(3, 20)).slice(0, 3));
    }
    if (random.chance(0.1)) fragments.push(random.pick(fragments));
    if (fragments.length > 1 && random.chance(0.1)) fragments.splice(random.below(fragments.length), 1);
    if (random.chance(0.3)) {
      // The first one matters most: the others wait for it.
      const [late] = fragments.splice(random.chance(0.6) ? 0 : random.below(fragments.length), 1);
      fragments.splice(random.below(fragments.length + 1), 0, given(late));
    }
    return fragments;
  }
}
