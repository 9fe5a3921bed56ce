// The address at which the other nodes reach this one, when the configuration leaves that to be found out.

import { SapwoodError } from "../../../base/errors.ts";
import { canonicalAddress } from "../../../net/address.ts";
import { ip, parseList } from "../../../sys/ip-command.ts";
import { DISCOVERED, type Netcfg } from "./netcfg.ts";

/** Far hosts: the address from which the kernel would send to one is that of the node's uplink. Nothing is sent. */
const FAR = ["8.8.8.8", "2001:4860:4860::8888"];
const SERVICE_URL = "https://ifconfig.co/ip";
const SERVICE_TIMEOUT_MS = 5000;

/** Throws network-setup when the node has no way to the outside, or nobody says its address. */
export async function findPublicAddress(
  { publicAddress, asksPublicAddress, defaultInterface }: Netcfg,
  fetchText: (url: string) => Promise<string> = askService,
): Promise<string> {
  if (publicAddress !== DISCOVERED) return publicAddress;
  if (!asksPublicAddress) return outgoingAddress(defaultInterface);
  const text = await fetchText(SERVICE_URL).catch((error: unknown) => {
    throw new SapwoodError("network-setup", `${SERVICE_URL} does not say the node's public address: ${String(error)}.`);
  });
  const address = canonicalAddress(text.trim());
  if (address !== undefined) return address;
  const found = JSON.stringify(text.slice(0, 60));
  throw new SapwoodError("network-setup", `${SERVICE_URL} must answer with an address; found ${found}.`);
}

async function outgoingAddress(device: string): Promise<string> {
  for (const target of FAR) {
    const via = device === "" ? [] : ["oif", device];
    const [route] = parseList(await ip(["-json", "route", "get", target, ...via]).catch(() => ""));
    const address = typeof route?.prefsrc === "string" ? canonicalAddress(route.prefsrc) : undefined;
    if (address !== undefined) return address;
  }
  const way = device === "" ? "a default route" : `a route through ${device} (DefaultInterface)`;
  throw new SapwoodError(
    "network-setup",
    `The node's address cannot be found out: expected ${way}, found none. NodePublicAddress can name it.`,
  );
}

async function askService(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(SERVICE_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.text();
}
