// A service as the tables keep it: its addresses and instances are one text, which is read when somebody asks for them.
// A million instances take a gigabyte as objects and some 80 MB as texts. Two services say the same exactly when their
// texts are the same.

import type { Instance, Service, ServiceAddress, ServiceHealth } from "./tables.ts";

type Parts = Pick<Service, "addresses" | "instances">;

type PackedAddress = readonly [address: string, policy: string];
type PackedInstance = readonly [
  number: number,
  node: string,
  namespaceAddresses: readonly string[],
  instanceAddresses: readonly string[],
  weight: number,
  draining: 0 | 1,
];

export class PackedService implements Service {
  readonly name: string;
  declare readonly addresses: readonly ServiceAddress[];
  declare readonly instances: readonly Instance[];
  readonly health: ServiceHealth | undefined;
  readonly #text: string;

  /** `text` is that of another service that says the same. */
  constructor(name: string, health: ServiceHealth | undefined, text: string) {
    this.name = name;
    Object.defineProperties(this, FIELDS);
    this.health = health;
    this.#text = text;
  }

  static of(service: Service): PackedService {
    if (service instanceof PackedService) return service;
    return new PackedService(service.name, service.health, packedText(service));
  }

  /** Addresses and instances, as the constructor takes them. */
  get text(): string {
    return this.#text;
  }

  /** Whether the text may be that of a node, an address or a policy of this service; false when it is of none. */
  mentions(text: string): boolean {
    return this.#text.includes(JSON.stringify(text));
  }
}

/** Own properties of each, with the same functions for all: a copy by `...` has them as values. */
const FIELDS: PropertyDescriptorMap = {
  addresses: { enumerable: true, get: addressesOfThis },
  instances: { enumerable: true, get: instancesOfThis },
};

function addressesOfThis(this: PackedService): readonly ServiceAddress[] {
  return partsOf(this).addresses;
}

function instancesOfThis(this: PackedService): readonly Instance[] {
  return partsOf(this).instances;
}

interface Read {
  readonly of: PackedService;
  readonly parts: Parts;
}

/** The two that were read last: whoever compares two services asks for both of them several times. */
let lastRead: Read | undefined;
let readBefore: Read | undefined;

function partsOf(service: PackedService): Parts {
  if (lastRead?.of === service) return lastRead.parts;
  const found = readBefore?.of === service ? readBefore : { of: service, parts: unpacked(service.text) };
  readBefore = lastRead;
  lastRead = found;
  return found.parts;
}

/** Addresses and instances as one text, the same for all that say the same. */
function packedText({ addresses, instances }: Parts): string {
  return JSON.stringify([
    addresses.map(({ address, policy }): PackedAddress => [address, policy]),
    instances.map((instance): PackedInstance => {
      const { number, node, namespaceAddresses, instanceAddresses, weight, draining } = instance;
      return [number, node, namespaceAddresses, instanceAddresses, weight, draining ? 1 : 0];
    }),
  ]);
}

function unpacked(text: string): Parts {
  const [addresses, instances] = JSON.parse(text) as [PackedAddress[], PackedInstance[]];
  return {
    addresses: addresses.map(([address, policy]) => ({ address, policy })),
    instances: instances.map(([number, node, namespaceAddresses, instanceAddresses, weight, draining]) => ({
      number,
      node,
      namespaceAddresses,
      instanceAddresses,
      weight,
      draining: draining === 1,
    })),
  };
}
