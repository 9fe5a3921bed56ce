// Whether nodes, services and checks say the same as others: what does not differ is not written again.

import type { Node, Service, ServiceHealth } from "../../model/tables.ts";

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

export function isSameService(a: Service, b: Service): boolean {
  return (
    a === b ||
    (isSameHealth(a.health, b.health) &&
      isSameList(a.addresses, b.addresses, (x, y) => x.address === y.address && x.policy === y.policy) &&
      isSameList(
        a.instances,
        b.instances,
        (x, y) =>
          x === y ||
          (x.number === y.number &&
            x.node === y.node &&
            x.weight === y.weight &&
            x.draining === y.draining &&
            isSameList(x.namespaceAddresses, y.namespaceAddresses, Object.is) &&
            isSameList(x.instanceAddresses, y.instanceAddresses, Object.is)),
      ))
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
