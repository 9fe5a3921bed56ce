// A page about the health of a node's instances, as it is on the wire (assembly/shared/layout/health-page.ts). What comes
// from another node is hostile until it is read here.

import * as HealthPageLayout from "../../../assembly/shared/layout/health-page.ts";
import type { Instance } from "../../model/tables.ts";
import { ADDRESS_SIZE, parseAddress } from "../../net/address.ts";

/** Addresses as text that sorts as their bytes do. */
export interface HealthPage {
  readonly page: number;
  readonly pages: number;
  readonly above: string;
  readonly upTo: string;
  readonly unhealthy: ReadonlySet<string>;
}

const DIGITS = 2 * ADDRESS_SIZE;
const LOWEST = "0".repeat(DIGITS);
const HIGHEST = "f".repeat(DIGITS);

/** By which nodes tell each other of an instance; undefined = it has no address that others know. */
export function healthKey({ instanceAddresses }: Pick<Instance, "instanceAddresses">): string | undefined {
  // An IPv4 address sorts below those of the IPv6 range, so that both nodes take the same one.
  return instanceAddresses.flatMap((address) => keyOf(address) ?? []).sort()[0];
}

/** The pages that name these, at least one. Of more than fit in `most` pages the rest is not told. */
export function encodePages(unhealthy: Iterable<string>, most: number): Uint8Array[] {
  const keys = [...unhealthy].sort().slice(0, most * HealthPageLayout.ADDRESS_MAX);
  const count = Math.max(1, Math.ceil(keys.length / HealthPageLayout.ADDRESS_MAX));
  return Array.from({ length: count }, (_, page) => {
    const end = (page + 1) * HealthPageLayout.ADDRESS_MAX;
    const own = keys.slice(end - HealthPageLayout.ADDRESS_MAX, end);
    const bytes = Buffer.alloc(HealthPageLayout.SIZE);
    bytes.writeUInt16LE(page, HealthPageLayout.NUMBER);
    bytes.writeUInt16LE(count, HealthPageLayout.COUNT);
    bytes.writeUInt16LE(own.length, HealthPageLayout.ADDRESS_COUNT);
    const above = page === 0 ? LOWEST : keys[end - HealthPageLayout.ADDRESS_MAX - 1];
    bytes.write(above ?? LOWEST, HealthPageLayout.ABOVE, "hex");
    bytes.write(page === count - 1 ? HIGHEST : (own.at(-1) ?? HIGHEST), HealthPageLayout.UP_TO, "hex");
    own.forEach((key, i) => {
      bytes.write(key, HealthPageLayout.ADDRESSES + i * ADDRESS_SIZE, "hex");
    });
    return bytes;
  });
}

/** Undefined when the bytes are no page. */
export function decodePage(bytes: Uint8Array): HealthPage | undefined {
  if (bytes.length !== HealthPageLayout.SIZE) return undefined;
  const view = Buffer.from(bytes);
  const page = view.readUInt16LE(HealthPageLayout.NUMBER);
  const pages = view.readUInt16LE(HealthPageLayout.COUNT);
  const count = view.readUInt16LE(HealthPageLayout.ADDRESS_COUNT);
  if (page >= pages || count > HealthPageLayout.ADDRESS_MAX) return undefined;
  const key = (at: number): string => view.toString("hex", at, at + ADDRESS_SIZE);
  const unhealthy = Array.from({ length: count }, (_, i) => key(HealthPageLayout.ADDRESSES + i * ADDRESS_SIZE));
  return {
    ...{ page, pages },
    above: key(HealthPageLayout.ABOVE),
    upTo: key(HealthPageLayout.UP_TO),
    unhealthy: new Set(unhealthy),
  };
}

export function isCovered({ above, upTo }: HealthPage, key: string): boolean {
  return (key > above || above === LOWEST) && key <= upTo;
}

function keyOf(address: string): string | undefined {
  const bytes = parseAddress(address);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
}
