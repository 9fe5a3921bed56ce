// Follows the interface that carries the tunnel. It is the node's own, so nothing is put back: what keeps the other nodes
// from being reached is told as a problem, what packets adapt to by themselves as an event.

import type { Alarms } from "../../model/alarms.ts";
import type { UnderlayLink } from "../../sys/interface.ts";
import type { KeptState } from "../../sys/interface-state.ts";
import type { Kept } from "./network-watch.ts";

interface UnderlayWatchOptions {
  /** Of this node, where the tunnel's datagrams leave from. */
  readonly address: string;
  /** The interface that has the address; undefined: none has. */
  readonly read: () => Promise<UnderlayLink | undefined>;
  readonly alarms: Pick<Alarms, "tell">;
}

const WELL: KeptState = { isUp: true, routes: [], repaired: [], problems: [], hasActed: false };

export class UnderlayWatch implements Kept {
  readonly indices: readonly number[] = [];
  readonly #options: UnderlayWatchOptions;
  /** As it was last; undefined: no interface ever had the address, as behind a NAT. */
  #known: UnderlayLink | undefined;

  constructor(options: UnderlayWatchOptions) {
    this.#options = options;
  }

  /** Whoever changes routes all the time, as a routing protocol does, is not looked at for each. */
  get linkIndices(): readonly number[] {
    return this.#known === undefined ? [] : [this.#known.index];
  }

  async check(): Promise<KeptState> {
    const { address, read } = this.#options;
    const found = await read();
    const before = this.#known;
    if (found === undefined) {
      if (before === undefined) return WELL;
      const had = `${before.device} had it before`;
      return problem(`No interface has the address ${address} of this node's underlay any more; ${had}`);
    }
    this.#known = found;
    if (before !== undefined) this.#tellChange(before, found);
    if (!found.isUp) return problem(`The interface ${found.device}, which carries the tunnel, is down`);
    if (!found.hasCarrier) return problem(`The interface ${found.device}, which carries the tunnel, has no carrier`);
    return WELL;
  }

  #tellChange(before: UnderlayLink, now: UnderlayLink): void {
    const changes = [
      ...(now.device === before.device ? [] : [`is ${now.device} now, after ${before.device}`]),
      ...(now.mtu === before.mtu ? [] : [`takes packets of ${now.mtu} bytes now, after ${before.mtu}`]),
    ];
    if (changes.length === 0) return;
    this.#options.alarms.tell({
      kind: "underlay-changed",
      subject: now.device,
      message: `The interface that carries the tunnel ${changes.join(", and ")}.`,
      advice:
        "Nothing: the size that fits is found anew for each node. The next start gives the TUN an MTU that suits it.",
    });
  }
}

function problem(sentence: string): KeptState {
  return { ...WELL, problems: [`${sentence}: other nodes cannot be reached.`] };
}
