// The address at which the other nodes reach this one, when the configuration leaves that to be found out.

import { SapwoodError } from "../../../base/errors.ts";
import { canonicalAddress } from "../../../net/address.ts";
import { ip, parseList } from "../../../sys/ip-command.ts";
import { DISCOVERED, type Netcfg } from "./netcfg.ts";

/** Far hosts: the address from which the kernel would send to one is that of the node's uplink. Nothing is sent. */
const FAR = ["8.8.8.8", "2001:4860:4860::8888"];
const SERVICE_URL = "https://ifconfig.co/ip";
const SERVICE_TIMEOUT_MS = 5000;

/** How often the service is asked while the node's own address stays. */
const ASK_MS = 120_000;
/** After an attempt that failed; twice as long after each one more. */
const RETRY_MIN_MS = 5000;

interface Sources {
  readonly outgoing: (device: string) => Promise<string>;
  readonly fetchText: (url: string) => Promise<string>;
}

export class PublicAddress {
  readonly #netcfg: Netcfg;
  readonly #sources: Sources;
  /** The node's own address when the service was asked, and what that said. */
  #own: string | undefined;
  #public: string | undefined;
  #nextAskMs = 0;
  #retryMs = RETRY_MIN_MS;

  constructor(netcfg: Netcfg, sources: Sources = { outgoing: outgoingAddress, fetchText: askService }) {
    this.#netcfg = netcfg;
    this.#sources = sources;
  }

  /**
   * May be called every few seconds: the service on the internet is asked when the node's own address has changed, and
   * now and then. Throws network-setup when the node has no way to the outside, or nobody says its address.
   */
  async find(): Promise<string> {
    const { publicAddress, asksPublicAddress, defaultInterface } = this.#netcfg;
    if (publicAddress !== DISCOVERED) return publicAddress;
    const own = await this.#sources.outgoing(defaultInterface);
    if (!asksPublicAddress) return own;
    const isChanged = own !== this.#own;
    if (isChanged) this.#public = undefined;
    if (isChanged || performance.now() >= this.#nextAskMs) await this.#ask(own);
    if (this.#public === undefined) throw new SapwoodError("network-setup", `${SERVICE_URL} is not asked again yet.`);
    return this.#public;
  }

  async #ask(own: string): Promise<void> {
    if (own !== this.#own) this.#retryMs = RETRY_MIN_MS;
    this.#own = own;
    this.#nextAskMs = performance.now() + this.#retryMs;
    this.#retryMs = Math.min(2 * this.#retryMs, ASK_MS);
    const text = await this.#sources.fetchText(SERVICE_URL).catch((error: unknown) => {
      const reason = String(error);
      throw new SapwoodError("network-setup", `${SERVICE_URL} does not say the node's public address: ${reason}.`);
    });
    const address = canonicalAddress(text.trim());
    if (address === undefined) {
      const found = JSON.stringify(text.slice(0, 60));
      throw new SapwoodError("network-setup", `${SERVICE_URL} must answer with an address; found ${found}.`);
    }
    this.#public = address;
    this.#retryMs = RETRY_MIN_MS;
    this.#nextAskMs = performance.now() + ASK_MS;
  }
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
