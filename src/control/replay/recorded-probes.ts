// How long the probes of a capture were under way: a reply has the nonce of what it answers.

import * as ProbeLayout from "../../../assembly/shared/layout/probe.ts";
import type { Datagram } from "./recorded-packet.ts";

/** More than are under way at once. */
const KEPT = 4096;

export class RecordedProbes {
  readonly #sentUs = new Map<string, number>(); // by nonce

  /** A datagram that the node sent. */
  noteSent({ payload }: Datagram, timeUs: number): void {
    if (!isProbe(payload, ProbeLayout.REQUEST)) return;
    this.#sentUs.set(nonceOf(payload), timeUs);
    if (this.#sentUs.size <= KEPT) return;
    for (const oldest of this.#sentUs.keys()) {
      this.#sentUs.delete(oldest);
      return;
    }
  }

  /** Microseconds since the probe that a datagram answers was sent; undefined: none that is in the capture. */
  rttOf({ payload }: Datagram, timeUs: number): number | undefined {
    const sentUs = isProbe(payload, ProbeLayout.REPLY) ? this.#sentUs.get(nonceOf(payload)) : undefined;
    return sentUs === undefined ? undefined : Math.max(0, timeUs - sentUs);
  }
}

export function isProbe(bytes: Uint8Array, type: number): boolean {
  if (bytes.length < ProbeLayout.SIZE || bytes[ProbeLayout.TYPE_AT] !== type) return false;
  return ((bytes[0] as number) | ((bytes[1] as number) << 8)) === ProbeLayout.MAGIC;
}

function nonceOf(probe: Uint8Array): string {
  return Buffer.from(probe.subarray(ProbeLayout.NONCE_AT, ProbeLayout.ABILITIES_AT)).toString("latin1");
}
