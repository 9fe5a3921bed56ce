// Text and bytes of addresses: the hand-written reader of whole tables (net/bulk-address.ts), beside the same through
// ipaddr.js (net/address.ts) as the twin. The ratio is why there are two.

import * as single from "../src/net/address.ts";
import * as Bulk from "../src/net/bulk-address.ts";
import type { Case } from "./harness.ts";

const COUNT = 4096; // per call
const TEXTS = {
  IPv4: (index: number) => `10.30.${index >>> 8}.${index & 0xff}`,
  IPv6: (index: number) => `fdff:2000::1:${index.toString(16)}`,
} as const;

export async function addressCases(): Promise<readonly Case[]> {
  return Object.entries(TEXTS).flatMap(([family, textOf]): Case[] => {
    const texts = Array.from({ length: COUNT }, (_, index) => textOf(index));
    const addresses = texts.map((text) => single.parseAddress(text) ?? new Uint8Array(single.ADDRESS_SIZE));
    const into = new Uint8Array(single.ADDRESS_SIZE);
    return [
      {
        name: `address text read, ${family}`,
        unit: "ns",
        fast: { amount: COUNT, run: () => texts.forEach((text) => void Bulk.readAddress(text, into, 0)) },
        twin: { amount: COUNT, run: () => texts.forEach((text) => void single.parseAddress(text)) },
      },
      {
        name: `address text written, ${family}`,
        unit: "ns",
        fast: { amount: COUNT, run: () => addresses.forEach((bytes) => void Bulk.formatAddress(bytes)) },
        twin: { amount: COUNT, run: () => addresses.forEach((bytes) => void single.formatAddress(bytes)) },
      },
    ];
  });
}
