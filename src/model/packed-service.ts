// A service as the tables keep it: its addresses and instances are one string of bytes, which is read when somebody asks
// for them. A million instances take a gigabyte as objects and some 60 MB so. Two services say the same exactly when
// their bytes are the same. Numbers are little-endian, texts in UTF-8:
//    0 form   1 addresses   5 instances   9 each address, then each instance
//    an address: 0 address   16 length of the policy   18 policy
//    an instance: 0 weight   2 draining   3 number   7 namespace addresses   8 its own   9 length of the node   11 node
//                 and its addresses, those of the namespace first
// What does not fit, which no table takes, is JSON after the form.

import { ADDRESS_SIZE } from "../net/address.ts";
import * as Bulk from "../net/bulk-address.ts";
import { isSamePart, unpackAddress, wordAt } from "../net/packed-address.ts";
import { PackedWriter } from "./packed-writer.ts";
import type { Instance, Service, ServiceAddress, ServiceHealth } from "./tables.ts";

type Parts = Pick<Service, "addresses" | "instances">;

/** The form of the bytes. */
export const PLAIN = 0;
const UNUSUAL = 1;
/** Where the counts are, and what follows. */
export const ADDRESSES_AT = 1;
export const INSTANCES_AT = 5;
const ITEMS_AT = 9;
const POLICY_LENGTH = 16;
const POLICY = 18;
const DRAINING = 2;
const NUMBER = 3;
const NAMESPACES = 7;
const OWN = 8;
const NODE_LENGTH = 9;
const NODE = 11;
const U8_MAX = 0xff;
const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;

export class PackedService implements Service {
  readonly name: string;
  declare readonly addresses: readonly ServiceAddress[];
  declare readonly instances: readonly Instance[];
  readonly health: ServiceHealth | undefined;
  readonly #bytes: string;
  readonly #origin: string | undefined;

  /** `bytes` are those of another service that says the same. */
  constructor(name: string, health: ServiceHealth | undefined, bytes: string, origin?: string) {
    this.name = name;
    Object.defineProperties(this, FIELDS);
    this.health = health;
    this.#bytes = bytes;
    this.#origin = origin;
  }

  static of(service: Service): PackedService {
    if (service instanceof PackedService) return service;
    return new PackedService(service.name, service.health, packedBytes(service));
  }

  /** Addresses and instances, as the constructor takes them. */
  get bytes(): string {
    return this.#bytes;
  }

  /** By what its reader knows it again, where it was read from a long text (control/config/known-services.ts). */
  get origin(): string | undefined {
    return this.#origin;
  }

  /** Whether a table may take it. */
  get isPlain(): boolean {
    return this.#bytes.charCodeAt(0) === PLAIN;
  }

  /** How many addresses and instances it has. */
  get counts(): { readonly addresses: number; readonly instances: number } {
    if (this.isPlain) {
      return { addresses: wordAt(this.#bytes, ADDRESSES_AT), instances: wordAt(this.#bytes, INSTANCES_AT) };
    }
    const { addresses, instances } = this.unpack();
    return { addresses: addresses.length, instances: instances.length };
  }

  /** Whether the text may be that of a node or a policy of this service; false when it is of none. */
  mentions(text: string): boolean {
    if (!this.isPlain) return true;
    const name = Buffer.from(text).toString("latin1");
    return this.#bytes.includes(String.fromCharCode(name.length & U8_MAX, name.length >>> 8) + name);
  }

  /** Makes objects of all that the service has. */
  unpack(): Parts {
    return this.isPlain ? unpacked(this) : JSON.parse(textAt(this.#bytes, 1, this.#bytes.length));
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

/**
 * Goes through the addresses and then the instances of a packed service without making anything of them. What is `At`
 * is a place in its bytes.
 */
export class ServiceCursor {
  bytes = "";
  /** How many the service has. */
  addresses = 0;
  instances = 0;
  /** The address of the service that was reached. */
  addressAt = 0;
  policyAt = 0;
  policyEnd = 0;
  /** The instance that was reached. From its number on, all say where it is. */
  instanceAt = 0;
  number = 0;
  weight = 0;
  isDraining = false;
  nodeAt = 0;
  nodeEnd = 0;
  namespaces = 0; // how many
  namespacesAt = 0;
  own = 0; // how many
  ownAt = 0;
  instanceEnd = 0;
  #at = 0;
  #addressesLeft = 0;
  #instancesLeft = 0;

  /** Throws a RangeError for a service that no table takes. */
  start(service: PackedService): void {
    const { bytes } = service;
    if (!service.isPlain) throw new RangeError(`expected a service of a table, found ${service.name}`);
    this.bytes = bytes;
    this.addresses = this.#addressesLeft = wordAt(bytes, ADDRESSES_AT);
    this.instances = this.#instancesLeft = wordAt(bytes, INSTANCES_AT);
    this.#at = ITEMS_AT;
  }

  /** False after the last one. */
  nextAddress(): boolean {
    if (this.#addressesLeft === 0) return false;
    this.#addressesLeft -= 1;
    this.addressAt = this.#at;
    this.policyAt = this.#at + POLICY;
    this.policyEnd = this.policyAt + u16At(this.bytes, this.#at + POLICY_LENGTH);
    this.#at = this.policyEnd;
    return true;
  }

  /** The same of the instances; passes over the addresses that are left. */
  nextInstance(): boolean {
    while (this.nextAddress());
    if (this.#instancesLeft === 0) return false;
    this.#instancesLeft -= 1;
    this.readInstance(this.bytes, this.#at);
    this.#at = this.instanceEnd;
    return true;
  }

  /** Reads one instance, which is at this place of a service's bytes. */
  readInstance(bytes: string, at: number): void {
    this.bytes = bytes;
    this.instanceAt = at;
    this.weight = u16At(bytes, at);
    this.isDraining = bytes.charCodeAt(at + DRAINING) !== 0;
    this.number = wordAt(bytes, at + NUMBER);
    this.namespaces = bytes.charCodeAt(at + NAMESPACES);
    this.own = bytes.charCodeAt(at + OWN);
    this.nodeAt = at + NODE;
    this.nodeEnd = this.nodeAt + u16At(bytes, at + NODE_LENGTH);
    this.namespacesAt = this.nodeEnd;
    this.ownAt = this.namespacesAt + this.namespaces * ADDRESS_SIZE;
    this.instanceEnd = this.ownAt + this.own * ADDRESS_SIZE;
  }

  /** Whether the instance says the same, but for weight and draining, as the one at a place of other bytes. */
  isSamePlace(bytes: string, at: number): boolean {
    const length = this.instanceEnd - this.instanceAt - NUMBER;
    return (
      at + NUMBER + length <= bytes.length &&
      isSamePart(this.bytes, this.instanceAt + NUMBER, bytes, at + NUMBER, length)
    );
  }

  get node(): string {
    return textAt(this.bytes, this.nodeAt, this.nodeEnd);
  }

  get policy(): string {
    return textAt(this.bytes, this.policyAt, this.policyEnd);
  }
}

/** Compares parts of packed services with one text, without making a text of each. */
export class PackedText {
  readonly #packed: string;

  constructor(text: string) {
    this.#packed = Buffer.from(text).toString("latin1");
  }

  isAt(bytes: string, at: number, end: number): boolean {
    const { length } = this.#packed;
    return end - at === length && isSamePart(bytes, at, this.#packed, 0, length);
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
  const found = readBefore?.of === service ? readBefore : { of: service, parts: service.unpack() };
  readBefore = lastRead;
  lastRead = found;
  return found.parts;
}

const WRITER = new PackedWriter();
const ADDRESS = new Uint8Array(ADDRESS_SIZE);

/** Addresses and instances as bytes, the same for all that say the same. */
function packedBytes({ addresses, instances }: Parts): string {
  WRITER.end = 0;
  const isPlain = writePlain(addresses, instances);
  if (!isPlain) {
    WRITER.end = 0;
    WRITER.u8(UNUSUAL);
    WRITER.text(JSON.stringify({ addresses, instances }));
  }
  return WRITER.bytes.toString("latin1", 0, WRITER.end);
}

/** False when something does not fit; then anything is written. */
function writePlain(addresses: readonly ServiceAddress[], instances: readonly Instance[]): boolean {
  WRITER.u8(PLAIN);
  WRITER.u32(addresses.length);
  WRITER.u32(instances.length);
  for (const { address, policy } of addresses) {
    if (!writeAddress(address) || !WRITER.sizedText(policy)) return false;
  }
  for (const instance of instances) {
    const { weight, draining, number, node, namespaceAddresses, instanceAddresses } = instance;
    if (!isWhole(weight, U16_MAX) || !isWhole(number, U32_MAX)) return false;
    if (namespaceAddresses.length > U8_MAX || instanceAddresses.length > U8_MAX) return false;
    WRITER.u16(weight);
    WRITER.u8(draining ? 1 : 0);
    WRITER.u32(number);
    WRITER.u8(namespaceAddresses.length);
    WRITER.u8(instanceAddresses.length);
    if (!WRITER.sizedText(node)) return false;
    if (!namespaceAddresses.every(writeAddress) || !instanceAddresses.every(writeAddress)) return false;
  }
  return true;
}

/** False when the text is not canonical: then it would not be what is read. */
function writeAddress(text: string): boolean {
  if (!Bulk.readAddress(text, ADDRESS, 0) || Bulk.formatAddress(ADDRESS) !== text) return false;
  WRITER.address(ADDRESS, 0);
  return true;
}

function isWhole(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most && !Object.is(value, -0);
}

const CURSOR = new ServiceCursor();

function unpacked(service: PackedService): Parts {
  const cursor = CURSOR;
  const addresses: ServiceAddress[] = [];
  const instances: Instance[] = [];
  cursor.start(service);
  while (cursor.nextAddress()) {
    addresses.push({ address: unpackAddress(cursor.bytes, cursor.addressAt), policy: cursor.policy });
  }
  while (cursor.nextInstance()) {
    const { bytes, number, node, weight, isDraining } = cursor;
    const namespaceAddresses = addressesAt(bytes, cursor.namespacesAt, cursor.namespaces);
    const instanceAddresses = addressesAt(bytes, cursor.ownAt, cursor.own);
    instances.push({ number, node, namespaceAddresses, instanceAddresses, weight, draining: isDraining });
  }
  return { addresses, instances };
}

function addressesAt(bytes: string, at: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => unpackAddress(bytes, at + i * ADDRESS_SIZE));
}

function u16At(bytes: string, at: number): number {
  return bytes.charCodeAt(at) | (bytes.charCodeAt(at + 1) << 8);
}

function textAt(bytes: string, at: number, end: number): string {
  const packed = bytes.slice(at, end);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  return /^[\x00-\x7f]*$/.test(packed) ? packed : Buffer.from(packed, "latin1").toString();
}
