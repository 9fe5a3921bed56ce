// Drains instances: they keep their flows and take no new ones.

import { SapwoodError } from "../../base/errors.ts";
import { meantText, shortText } from "../../base/issues.ts";
import type { Instance, Service, Tables, TablesPatch } from "../../model/tables.ts";

/** Which instances: all that agree with what is given. */
export interface DrainOrder {
  readonly node?: string | undefined;
  readonly service?: string | undefined;
  /** Number of an instance of the service. */
  readonly instance?: number | undefined;
  /** False: they take new flows again. */
  readonly draining: boolean;
}

/** Throws usage when the order says nothing, and not-found when there is no such instance. */
export function drainPatch({ services }: Tables, order: DrainOrder): TablesPatch {
  const { node, service, instance, draining } = order;
  if (instance !== undefined && service === undefined) {
    throw new SapwoodError("usage", `Expected the service of instance ${instance}, found none.`);
  }
  if (node === undefined && service === undefined) {
    throw new SapwoodError("usage", "Which instances? Expected a node, a service, or a service and an instance.");
  }
  const isMeant = (name: string, one: Instance): boolean =>
    (service === undefined || service === name) &&
    (node === undefined || node === one.node) &&
    (instance === undefined || instance === one.number);
  // Of a service with another name, nothing more is read.
  const named = services.filter(({ name }) => service === undefined || name === service);
  const meant = named.filter(({ name, instances }) => instances.some((one) => isMeant(name, one)));
  if (meant.length === 0) {
    const names = services.map(({ name }) => name);
    const hint = service === undefined || names.includes(service) ? "" : meantText(service, names);
    throw new SapwoodError("not-found", `There is no instance ${placeOf(order)}${hint}.`);
  }
  const changed = meant.map((one): Service => {
    const instances = one.instances.map((each) => (isMeant(one.name, each) ? { ...each, draining } : each));
    return { ...one, instances };
  });
  return { nodes: [], services: changed, remove: { nodes: [], services: [] } };
}

function placeOf({ node, service, instance }: DrainOrder): string {
  const number = instance === undefined ? "" : `${instance} `;
  const of = service === undefined ? "" : `of the service "${shortText(service)}"`;
  const on = node === undefined ? "" : `on the node "${shortText(node)}"`;
  return `${number}${[of, on].filter(Boolean).join(" ")}`;
}
