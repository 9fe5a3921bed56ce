// The addresses of a node's own subnet: a /26 and a /120, of which the bridge has the first and containers the others.

import { SapwoodError } from "../../../base/errors.ts";
import { valueText } from "../../../base/issues.ts";
import { contains, formatAddress, parseAddress, parsePrefix } from "../../../net/address.ts";

/** Network addresses, canonical. */
export interface Subnet {
  readonly v4: string;
  readonly v6: string;
}

/** One address of each family. */
export interface AddressPair {
  readonly v4: string;
  readonly v6: string;
}

export const V4_LENGTH = 26;
export const V6_LENGTH = 120;
const BRIDGE = 1;
const FIRST = 2;
const LAST_V4 = 62;
const LAST_V6 = 255;

/** The subnet of a reply, or what is wrong with it. */
export function readSubnet(address: string, addressv6: string): Subnet | string {
  const [v4, v6] = [parseAddress(address), parseAddress(addressv6)];
  if (v4 === undefined || address.includes(":") || ((v4[15] ?? 0) & 63) !== 0) {
    return `expected the network address of a /${V4_LENGTH}, found ${valueText(address)}`;
  }
  if (v6 === undefined || !addressv6.includes(":") || v6[15] !== 0) {
    return `expected the network address of a /${V6_LENGTH}, found ${valueText(addressv6)}`;
  }
  return { v4: formatAddress(v4), v6: formatAddress(v6) };
}

export function bridgeAddresses(subnet: Subnet): AddressPair {
  return { v4: hostOf(subnet.v4, BRIDGE), v6: hostOf(subnet.v6, BRIDGE) };
}

/** Gives out the subnet's addresses; those that came back first before new ones. */
export class AddressPool {
  readonly #subnet: Subnet;
  readonly #v4: FamilyPool;
  readonly #v6: FamilyPool;

  /** `taken` are in use already. */
  constructor(subnet: Subnet, taken: readonly AddressPair[] = []) {
    this.#subnet = subnet;
    this.#v4 = new FamilyPool(subnet.v4, LAST_V4, new Set(taken.map(({ v4 }) => v4)));
    this.#v6 = new FamilyPool(subnet.v6, LAST_V6, new Set(taken.map(({ v6 }) => v6)));
  }

  /** Throws capacity-exceeded when none is left. */
  take(): AddressPair {
    const v4 = this.#v4.take();
    try {
      return { v4, v6: this.#v6.take() };
    } catch (error) {
      this.#v4.release(v4);
      throw error;
    }
  }

  /** Those of a subnet that the node had before are left alone. */
  release({ v4, v6 }: AddressPair): void {
    if (isInSubnet(this.#subnet, v4)) this.#v4.release(v4);
    if (isInSubnet(this.#subnet, v6)) this.#v6.release(v6);
  }
}

class FamilyPool {
  readonly #free: string[] = [];
  /** How many of the last of #free were never given out. */
  #fresh: number;
  readonly #capacity: number;

  constructor(network: string, last: number, taken: ReadonlySet<string>) {
    this.#capacity = last - FIRST + 1;
    for (let number = FIRST; number <= last; number++) {
      const address = hostOf(network, number);
      if (!taken.has(address)) this.#free.push(address);
    }
    this.#fresh = this.#free.length;
  }

  take(): string {
    const address = this.#free.shift();
    if (address === undefined) {
      throw new SapwoodError("capacity-exceeded", `All ${this.#capacity} addresses of the node's subnet are in use.`);
    }
    this.#fresh = Math.min(this.#fresh, this.#free.length);
    return address;
  }

  release(address: string): void {
    this.#free.splice(this.#free.length - this.#fresh, 0, address);
  }
}

function hostOf(network: string, number: number): string {
  const bytes = parseAddress(network);
  if (bytes === undefined) throw new RangeError(`expected an address, found ${network}`);
  bytes[15] = (bytes[15] ?? 0) + number;
  return formatAddress(bytes);
}

export function isInSubnet(subnet: Subnet, address: string): boolean {
  const bytes = parseAddress(address);
  if (bytes === undefined) return false;
  const prefix = address.includes(":") ? `${subnet.v6}/${V6_LENGTH}` : `${subnet.v4}/${V4_LENGTH}`;
  return contains(parsePrefix(prefix), bytes);
}
