// Which policy a service address has: the one that its entry names, else that of the longest bound prefix that
// holds it. Turns services as they are written into services as the tables have them.

import { type FieldPath, type Issue, nameList } from "../../base/issues.ts";
import { INSTANCE_ADDRESS } from "../../model/policy-names.ts";
import type { Instance, Service, ServiceAddress } from "../../model/tables.ts";
import { contains, type Prefix, parseAddress, parsePrefix } from "../../net/address.ts";

export interface PolicyBinding {
  readonly prefix: Prefix;
  readonly policy: string;
}

/** An entry's address may leave its policy to the prefix, or say that it is an instance's. */
interface WrittenAddress {
  readonly address: string;
  readonly policy?: string | undefined;
  readonly instance?: number | undefined; // number of the instance that an instance address is of
}

interface WrittenService extends Omit<Service, "addresses"> {
  readonly addresses: readonly WrittenAddress[];
}

interface BoundServices {
  readonly services: readonly Service[];
  readonly issues: readonly Issue[];
  /** Where a field of `services` is in what was written. */
  fieldOf(path: FieldPath): FieldPath;
}

/** The platform's plan of its IPv6 service range; its further /21s are free for other policies. */
export const DEFAULT_BINDINGS: readonly PolicyBinding[] = [
  { prefix: parsePrefix("fdff:1000::/21"), policy: "closest" },
  { prefix: parsePrefix("fdff:2000::/21"), policy: "round-robin" },
];

/** These bindings, and the default ones of prefixes that they do not bind. */
export function withDefaultBindings(bindings: readonly PolicyBinding[]): PolicyBinding[] {
  const bound = new Set(bindings.map(({ prefix }) => prefix.text));
  return [...bindings, ...DEFAULT_BINDINGS.filter(({ prefix }) => !bound.has(prefix.text))];
}

/** What is bound to a policy, as text: addresses, and prefixes other than those of DEFAULT_BINDINGS. */
export function policyUses(
  policy: string,
  { services }: { readonly services: readonly Service[] },
  bindings: readonly PolicyBinding[],
): string[] {
  const prefixes = bindings.filter((binding) => binding.policy === policy && !DEFAULT_BINDINGS.includes(binding));
  const addresses = services.flatMap((service) => service.addresses.filter((one) => one.policy === policy));
  return [...prefixes.map(({ prefix }) => prefix.text), ...addresses.map(({ address }) => address)];
}

export function bindPolicies(services: readonly WrittenService[], bindings: readonly PolicyBinding[]): BoundServices {
  const binder = new Binder(bindings);
  const bound = services.map((service, i) => binder.service(service, ["services", i]));
  return { services: bound, issues: binder.issues, fieldOf: (path) => binder.fieldOf(path) };
}

/** The first one whose prefix has an address says its policy. */
export function longestFirst(bindings: readonly PolicyBinding[]): PolicyBinding[] {
  return [...bindings].sort((a, b) => tableBits(b.prefix) - tableBits(a.prefix));
}

/** An address that has a policy, or is of an instance, and its place among those written. */
interface PlacedAddress extends WrittenAddress {
  readonly place: number;
}

class Binder {
  readonly issues: Issue[] = [];
  readonly #longestFirst: readonly PolicyBinding[];
  /** By the path of an address that is elsewhere than it was written. */
  readonly #origins = new Map<string, FieldPath>();

  constructor(bindings: readonly PolicyBinding[]) {
    this.#longestFirst = longestFirst(bindings);
  }

  service(written: WrittenService, path: FieldPath): Service {
    const { addresses, instances } = written;
    const balanced: ServiceAddress[] = [];
    const owned = new Map<number, PlacedAddress[]>(); // by instance number
    const numbers = new Set(instances.map(({ number }) => number));
    addresses.forEach((entry, place) => {
      const at = [...path, "addresses", place];
      if (entry.policy === INSTANCE_ADDRESS) {
        const number = this.#instanceNumber(entry, numbers, at);
        if (number === undefined) return;
        const places = owned.get(number) ?? [];
        places.push({ ...entry, place });
        owned.set(number, places);
        return;
      }
      const policy = this.#policy(entry, at);
      if (policy === undefined) return;
      if (balanced.length !== place) this.#remember([...path, "addresses", balanced.length], at);
      balanced.push({ address: entry.address, policy });
    });
    return {
      ...written,
      addresses: balanced,
      instances: owned.size === 0 ? instances : instances.map((instance, i) => this.#own(instance, i, owned, path)),
    };
  }

  fieldOf(path: FieldPath): FieldPath {
    // An address of a service is at depth 4, one of an instance at depth 6.
    for (const depth of [4, 6]) {
      const origin = this.#origins.get(key(path.slice(0, depth)));
      if (origin !== undefined) return [...origin, ...path.slice(depth)];
    }
    return path;
  }

  /** The instance with the addresses that entries give it. */
  #own(instance: Instance, i: number, owned: ReadonlyMap<number, readonly PlacedAddress[]>, path: FieldPath): Instance {
    const added = owned.get(instance.number) ?? [];
    const { instanceAddresses } = instance;
    added.forEach(({ place }, nth) => {
      const now = [...path, "instances", i, "addresses", instanceAddresses.length + nth];
      this.#remember(now, [...path, "addresses", place, "address"]);
    });
    return { ...instance, instanceAddresses: [...instanceAddresses, ...added.map(({ address }) => address)] };
  }

  #policy({ address, policy, instance }: WrittenAddress, at: FieldPath): string | undefined {
    if (instance !== undefined) {
      this.#report([...at, "instance"], `no instance beside a policy other than ${INSTANCE_ADDRESS}`, instance);
    }
    if (policy !== undefined) return policy;
    const bytes = parseAddress(address);
    const binding = this.#longestFirst.find(({ prefix }) => bytes !== undefined && contains(prefix, bytes));
    if (binding !== undefined) return binding.policy;
    const prefixes = nameList(this.#longestFirst.map(({ prefix }) => prefix.text));
    this.#report(
      [...at, "policy"],
      `a policy, as none is bound to a prefix of ${address} (${prefixes} are)`,
      "nothing",
    );
    return undefined;
  }

  #instanceNumber({ instance }: WrittenAddress, numbers: ReadonlySet<number>, at: FieldPath): number | undefined {
    if (instance !== undefined && numbers.has(instance)) return instance;
    const known = numbers.size === 0 ? "and there is none" : nameList([...numbers]);
    this.#report([...at, "instance"], `the number of an instance of this service (${known})`, instance ?? "nothing");
    return undefined;
  }

  #remember(now: FieldPath, origin: FieldPath): void {
    this.#origins.set(key(now), origin);
  }

  #report(path: FieldPath, expected: string, found: string | number): void {
    this.issues.push({ path, message: `expected ${expected}, found ${found}` });
  }
}

/** Length in the form of the tables, in which an IPv4 prefix lies within ::ffff:0:0/96. */
function tableBits({ family, length }: Prefix): number {
  return family === 4 ? length + 96 : length;
}

function key(path: FieldPath): string {
  return path.join(".");
}
