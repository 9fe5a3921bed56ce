// Newer records win: an instance in force whose namespace address comes with an instance of another service is withdrawn.

import { Slices } from "../../base/slices.ts";
import type { Service, TablesPatch } from "../../model/tables.ts";
import type { ServiceAtPath } from "./table-validation.ts";

/** An instance in force that a change takes out, and why. */
export interface Withdrawn {
  readonly service: string;
  readonly number: number;
  readonly address: string; // of its namespace
  readonly by: string; // service that has it afterwards
}

/** The services in force. */
interface InForce {
  get(name: string): Service | undefined;
  /** Name of the service that has an instance with a namespace address, of all but those of `except`. */
  namespaceOwner(address: string, except: ReadonlySet<string>): string | undefined;
}

/**
 * In the order of the patch. What the patch itself sets or removes is no business of this. `doubtful` are those of its
 * services that may have other addresses than in force.
 */
export async function withdrawnBy(
  { services, remove }: TablesPatch,
  doubtful: readonly ServiceAtPath[],
  inForce: InForce,
): Promise<Withdrawn[]> {
  const decided = new Set([...services.map(({ name }) => name), ...remove.services]);
  const withdrawn = new Map<string, Withdrawn>();
  const note = (address: string, by: string): void => {
    const service = inForce.namespaceOwner(address, decided);
    if (service === undefined) return;
    const older = inForce.get(service)?.instances.find((one) => one.namespaceAddresses.includes(address));
    if (older === undefined) return;
    const key = `${older.number} ${service}`;
    if (!withdrawn.has(key)) withdrawn.set(key, { service, number: older.number, address, by });
  };
  await new Slices().each(doubtful, ({ service: { name, instances } }) => {
    for (const { namespaceAddresses } of instances) for (const address of namespaceAddresses) note(address, name);
  });
  return [...withdrawn.values()];
}

/** The services of the instances, without them. */
export function withoutInstances(withdrawn: readonly Withdrawn[], inForce: InForce): Service[] {
  const gone = new Map<string, Set<number>>();
  for (const { service, number } of withdrawn) {
    gone.set(service, (gone.get(service) ?? new Set()).add(number));
  }
  return [...gone].flatMap(([name, numbers]) => {
    const service = inForce.get(name);
    if (service === undefined) return [];
    return { ...service, instances: service.instances.filter(({ number }) => !numbers.has(number)) };
  });
}
