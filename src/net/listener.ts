// Where the observation listener is: "127.0.0.1:9150", "[::1]:9150".

import { formatAddress, parseAddress, unusableRange } from "./address.ts";

export interface ListenerAddress {
  readonly address: string; // canonical
  readonly port: number; // TCP, 1...65535
}

const PORT_MAX = 65_535;

export function parseListener(text: string): ListenerAddress | undefined {
  const found = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(text);
  const bytes = parseAddress(found?.[1] ?? found?.[2] ?? "");
  const port = Number(found?.[3]);
  if (bytes === undefined || port < 1 || port > PORT_MAX) return undefined;
  return { address: formatAddress(bytes), port };
}

/** Of a canonical address. */
export function isLoopback(address: string): boolean {
  const bytes = parseAddress(address);
  return bytes !== undefined && unusableRange(bytes) === "loopback";
}
