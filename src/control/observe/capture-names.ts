// What the comment of a captured packet says: verdict, service, instance, drop reason.

import { DropReason, Verdict } from "../../../assembly/shared/verdicts.ts";
import type { Tables } from "../../model/tables.ts";
import { keyOfText } from "../../net/address-key.ts";

interface Party {
  readonly service: string;
  /** Undefined: an address of the service as a whole. */
  readonly instance?: number;
}

/** What happened to a packet, by names. */
export interface PacketSaid {
  readonly verdict: string;
  readonly reason: string | undefined; // of a drop
  readonly service: string | undefined;
  readonly instance: number | undefined;
}

export class CaptureNames {
  readonly #parties = new Map<string, Party>();

  constructor({ services }: Tables) {
    for (const { name: service, addresses, instances } of services) {
      for (const { address } of addresses) this.#add(address, { service });
      for (const { number, namespaceAddresses, instanceAddresses } of instances) {
        for (const address of [...namespaceAddresses, ...instanceAddresses]) {
          this.#add(address, { service, instance: number });
        }
      }
    }
  }

  /**
   * The addresses are keys (net/address-key.ts): where the packet goes, and one of the instance that serves its flow
   * ("" = not known), which tells the service that was called; else it is the one that the packet goes to.
   */
  said(verdict: number, reason: number, destination: string, target: string): PacketSaid {
    const { service, instance } = this.#parties.get(target) ?? this.#parties.get(destination) ?? {};
    return {
      verdict: Verdict[verdict] ?? "unknown",
      reason: verdict === Verdict.dropped ? (DropReason[reason] ?? "unknown") : undefined,
      service,
      instance,
    };
  }

  #add(address: string, party: Party): void {
    const key = keyOfText(address);
    if (key !== undefined) this.#parties.set(key, party);
  }
}

/** "verdict=sent; service=B; instance=2". */
export function commentOf(said: PacketSaid): string {
  const fields = (["verdict", "reason", "service", "instance"] as const).map((name) => [name, said[name]] as const);
  return fields.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])).join("; ");
}
