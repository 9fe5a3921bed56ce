// Whether nodes and checks say the same as others: what does not differ is not written again.

import type { Node, ServiceHealth } from "../../model/tables.ts";

export function isSameNode(a: Node | undefined, b: Node): boolean {
  return (
    a === b ||
    (a?.underlay.address === b.underlay.address &&
      a.underlay.port === b.underlay.port &&
      a.underlay.wireguardPort === b.underlay.wireguardPort &&
      a.underlay.encryption === b.underlay.encryption &&
      a.publicKey === b.publicKey &&
      a.accept?.anyPort === b.accept?.anyPort &&
      a.accept?.anyAddress === b.accept?.anyAddress &&
      a.accept?.unknownSources === b.accept?.unknownSources &&
      isSameList(a.accept?.addresses ?? [], b.accept?.addresses ?? [], Object.is) &&
      a.nextPublicKey === b.nextPublicKey &&
      a.location?.latitude === b.location?.latitude &&
      a.location?.longitude === b.location?.longitude)
  );
}

export function isSameHealth(a: ServiceHealth | undefined, b: ServiceHealth | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.tcp === b.tcp &&
    a.http === b.http &&
    a.port === b.port &&
    a.icmp === b.icmp &&
    a.interval === b.interval &&
    a.timeout === b.timeout &&
    a.healthy === b.healthy &&
    a.unhealthy === b.unhealthy
  );
}

function isSameList<T>(a: readonly T[], b: readonly T[], isSame: (x: T, y: T) => boolean): boolean {
  return a.length === b.length && a.every((x, i) => isSame(x, b[i] as T));
}
