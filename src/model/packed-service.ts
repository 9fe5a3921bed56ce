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
  readonly #origin: string | undefined;

  /** `text` is that of another service that says the same. */
  constructor(name: string, health: ServiceHealth | undefined, text: string, origin?: string) {
    this.name = name;
    Object.defineProperties(this, FIELDS);
    this.health = health;
    this.#text = text;
    this.#origin = origin;
  }

  static of(service: Service): PackedService {
    if (service instanceof PackedService) return service;
    return new PackedService(service.name, service.health, packedText(service));
  }

  /** Addresses and instances, as the constructor takes them. */
  get text(): string {
    return this.#text;
  }

  /** By what its reader knows it again, where it was read from a long text (control/config/known-services.ts). */
  get origin(): string | undefined {
    return this.#origin;
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

/** What a place in a service's text is the address of. */
export type Placed = "service" | "instance" | "namespace";

const COMMA = 0x2c;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x5b;
const CLOSE = 0x5d;

/**
 * Goes through the addresses of a packed service, in the order of its text, without making anything of it: those of the
 * service, then of each instance those of its namespace and its own.
 */
export class AddressCursor {
  #text = "";
  #at = 0;
  placed: Placed = "service";
  /** The address is here in the text. */
  from = 0;
  to = 0;
  /** Instances that were reached so far, how many of them are on the node, and whether the last one is. */
  instances = 0;
  localInstances = 0;
  isLocal = false;
  readonly #node: string;

  constructor(nodeId: string) {
    this.#node = `${JSON.stringify(nodeId)},`;
  }

  start({ text }: PackedService): void {
    this.#text = text;
    this.#at = 2; // behind [[
    this.placed = "service";
    this.instances = 0;
    this.localInstances = 0;
  }

  get text(): string {
    return this.#text;
  }

  /** False after the last one. */
  next(): boolean {
    if (this.placed === "service") {
      if (this.#code() === COMMA) this.#at += 1;
      if (this.#code() === OPEN) {
        this.#at += 1;
        this.#take();
        this.#at = this.#afterText(this.#at + 1) + 1; // its policy
        return true;
      }
      this.#at += 3; // ],[
      this.placed = "instance";
    } else if (this.#code() === COMMA) {
      this.#at += 1;
      this.#take();
      return true;
    }
    return this.#nextList();
  }

  /** Whether the address is that one. */
  isAt(address: string): boolean {
    return this.to - this.from === address.length && this.#text.startsWith(address, this.from);
  }

  /** Whether it is where the other cursor is. */
  isSame(other: AddressCursor): boolean {
    const length = this.to - this.from;
    if (length !== other.to - other.from) return false;
    for (let i = 0; i < length; i++) {
      if (this.#text.charCodeAt(this.from + i) !== other.#text.charCodeAt(other.from + i)) return false;
    }
    return true;
  }

  /** At the end of a list of addresses, or where an instance may begin. */
  #nextList(): boolean {
    for (;;) {
      if (this.placed === "namespace") {
        this.#at += 3; // ],[
        this.placed = "instance";
      } else {
        if (this.instances > 0) this.#at = this.#text.indexOf("]", this.#at + 1) + 1; // weight and draining
        if (this.#code() === COMMA) this.#at += 1;
        if (this.#code() !== OPEN) return false;
        this.instances += 1;
        const nodeAt = this.#text.indexOf(",", this.#at) + 1;
        this.isLocal = this.#text.startsWith(this.#node, nodeAt);
        if (this.isLocal) this.localInstances += 1;
        this.#at = this.#afterText(nodeAt) + 2; // ,[
        this.placed = "namespace";
      }
      if (this.#code() === CLOSE) continue;
      this.#take();
      return true;
    }
  }

  #take(): void {
    this.from = this.#at + 1;
    this.#at = this.#afterText(this.#at);
    this.to = this.#at - 1;
  }

  #afterText(at: number): number {
    for (let next = at + 1; ; next++) {
      const code = this.#text.charCodeAt(next);
      if (code === BACKSLASH) next += 1;
      else if (code === QUOTE || Number.isNaN(code)) return next + 1;
    }
  }

  #code(): number {
    return this.#text.charCodeAt(this.#at);
  }
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
