// What makes a mutant worth keeping: the first one of its direction, family and protocol that ended in its way. The
// engine's own notes say how each packet ended, so that this costs a few loads a packet and no other engine.
import { DropReason, Verdict } from "../../../assembly/shared/verdicts.ts";

// direction 1 bit, outcome 3, reason 6, whether there is a flow 1, family 2, protocol 4
const FAMILY_SHIFT = 4;
const FLOW_SHIFT = 6;
const REASON_SHIFT = 7;
const OUTCOME_SHIFT = 13;
const DIRECTION_SHIFT = 16;
/** Protocols that are told apart; all others are one. */
const PROTOCOLS = [0, 1, 4, 6, 17, 43, 44, 50, 51, 58, 59, 60, 132, 136];
const CLASSES = Uint8Array.from({ length: 256 }, (_, number) => PROTOCOLS.indexOf(number) + 1);

export class Features {
  private readonly seen = new Uint8Array(1 << (DIRECTION_SHIFT + 1));
  private readonly view: DataView;
  /** How many there were. */
  count = 0;
  /** Slots of the call in hand whose packet was the first of its kind, and its kind. */
  readonly fresh = new Map<number, number>();

  constructor(memory: DataView) {
    this.view = memory;
  }

  /** One more packet ended; `at` is where it was received. */
  note(isEgress: boolean, slot: number, at: number, outcome: number, reason: number, flow: number): void {
    const version = this.view.getUint8(at) >>> 4;
    const family = version === 4 ? 1 : version === 6 ? 2 : 0;
    const protocol = family === 0 ? 0 : (CLASSES[this.view.getUint8(at + (family === 1 ? 9 : 6))] as number);
    const feature =
      (Number(isEgress) << DIRECTION_SHIFT) |
      (outcome << OUTCOME_SHIFT) |
      (reason << REASON_SHIFT) |
      (Number(flow !== 0) << FLOW_SHIFT) |
      (family << FAMILY_SHIFT) |
      protocol;
    if (this.seen[feature] !== 0) return;
    this.seen[feature] = 1;
    this.count++;
    this.fresh.set(slot, feature);
  }
}

/** "ingress IPv4 dropped badProbe", for people: without the protocol, and whether it had a flow. */
export function endName(feature: number): string {
  const reason = (feature >>> REASON_SHIFT) & 63;
  return [
    feature >>> DIRECTION_SHIFT === 1 ? "egress" : "ingress",
    ["of no version", "IPv4", "IPv6"][(feature >>> FAMILY_SHIFT) & 3],
    Verdict[(feature >>> OUTCOME_SHIFT) & 7],
    ...(reason === 0 ? [] : [DropReason[reason]]),
  ].join(" ");
}
