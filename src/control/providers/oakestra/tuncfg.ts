// /etc/netmanager/tuncfg.json: the TUN and the ranges of service addresses. JSON whose keys count in any case; a value
// of the wrong type is told and leaves its field at the default, a missing file leaves all of them there.

import { existsSync } from "node:fs";
import * as z from "zod";
import { TUNNEL_PORT } from "../../../../assembly/shared/sockets.ts";
import { valueText } from "../../../base/issues.ts";
import { contains, networkOf, parseAddress, parsePrefix, strictAddress } from "../../../net/address.ts";
import { readTextFile } from "../../../sys/user-file.ts";
import { isRecord, withKnownKeys } from "./case-insensitive.ts";

export interface Tuncfg {
  readonly device: string;
  readonly port: number; // UDP port that is listened to
  readonly mtu: number; // of the TUN
  readonly ranges: readonly [v4: string, v6: string]; // canonical prefixes of service addresses
}

const MTU_MIN = 1280; // RFC 8200 section 5
const MTU_MAX = 65_535;
/** Service and instance addresses of the platform's plan, as far as they are IPv6. */
const RANGE_V6 = "fdff::/16";

const fields = {
  HostTunnelDeviceName: z.string().regex(/^[^\s/:%]{1,15}$/),
  ProxySubnetwork: z.string().refine((value) => strictAddress(value)?.kind() === "ipv4"),
  ProxySubnetworkMask: z.string().refine((value) => maskLength(value) !== undefined),
  TunnelPort: z.int().min(1).max(65_535),
  MTUSize: z.int().min(MTU_MIN).max(MTU_MAX),
  ProxySubnetworkIPv6: z.string().refine((value) => strictAddress(value)?.kind() === "ipv6"),
  ProxySubnetworkIPv6Prefix: z.int().min(0).max(128),
};
const DEFAULTS = {
  HostTunnelDeviceName: "goProxyTun",
  ProxySubnetwork: "10.30.0.0",
  ProxySubnetworkMask: "255.255.0.0",
  TunnelPort: TUNNEL_PORT,
  MTUSize: 1450,
  ProxySubnetworkIPv6: "fc00::",
  ProxySubnetworkIPv6Prefix: 7,
};
type Values = typeof DEFAULTS;

/**
 * `tell` hears what is wrong with a file, one sentence a field. Throws config-unreadable for one that cannot be read.
 */
export function loadTuncfg(path: string, tell: (sentence: string) => void): Tuncfg {
  return existsSync(path) ? parseTuncfg(readTextFile(path), path, tell) : tuncfgOf(DEFAULTS, tell);
}

/** `path` is what sentences call the text. */
export function parseTuncfg(content: string, path: string, tell: (sentence: string) => void): Tuncfg {
  const told = (sentence: string) => tell(`${path}: ${sentence}`);
  let found: unknown;
  try {
    found = JSON.parse(content);
  } catch {
    found = undefined;
  }
  if (!isRecord(found)) {
    told("expected a JSON object; the defaults are used");
    return tuncfgOf(DEFAULTS, told);
  }
  const given = withKnownKeys(found, Object.keys(fields));
  const values: Record<string, unknown> = { ...DEFAULTS };
  for (const [name, schema] of Object.entries(fields)) {
    if (given[name] === undefined || given[name] === null) continue;
    const parsed = schema.safeParse(given[name]);
    if (parsed.success) values[name] = parsed.data;
    else told(`${name} cannot be ${valueText(given[name])}; the default ${String(values[name])} is used`);
  }
  return tuncfgOf(values as Values, told);
}

function tuncfgOf(values: Values, tell: (sentence: string) => void): Tuncfg {
  const length = maskLength(values.ProxySubnetworkMask) ?? 0;
  return {
    device: values.HostTunnelDeviceName,
    port: values.TunnelPort,
    mtu: values.MTUSize,
    ranges: [`${networkOf(values.ProxySubnetwork, length)}/${length}`, rangeV6(values, tell)],
  };
}

/**
 * The IPv6 range. The file that is shipped names one without any service address, and the default one has all
 * namespace addresses, too; both stand for the platform's plan.
 */
function rangeV6(values: Values, tell: (sentence: string) => void): string {
  const length = values.ProxySubnetworkIPv6Prefix;
  const plan = parsePrefix(RANGE_V6);
  const address = parseAddress(values.ProxySubnetworkIPv6);
  if (address !== undefined && contains(plan, address) && length >= plan.length) {
    try {
      return parsePrefix(`${values.ProxySubnetworkIPv6}/${length}`).text;
    } catch {
      tell(`${values.ProxySubnetworkIPv6}/${length} is no prefix; ${RANGE_V6} is used`);
    }
  }
  return RANGE_V6;
}

/** Number of leading ones, or undefined when the text is no mask. */
function maskLength(mask: string): number | undefined {
  const address = strictAddress(mask);
  return address?.kind() === "ipv4" ? (address.prefixLengthFromSubnetMask() ?? undefined) : undefined;
}
