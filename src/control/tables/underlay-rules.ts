// The rules that the addresses of the underlay keep: what a host can have, and what this node's socket can reach.

import type { Issue } from "../../base/issues.ts";
import { shortText } from "../../base/issues.ts";
import { contains, type Family, familyOf, type Prefix, parseAddress, unusableRange } from "../../net/address.ts";

/** Addresses that bind a socket to all of the machine's, and the families that it then reaches. */
const UNSPECIFIED: Readonly<Record<string, readonly Family[]>> = { "::": [4, 6], "0.0.0.0": [4] };

/** This node's own place on the underlay. */
export interface OwnEndpoint {
  readonly address: string; // where the other nodes send to
  readonly port: number;
  readonly bind: string; // the socket's own address
}

/** `written` is the section of the file, in which `bind` may be missing. */
export function ownUnderlayIssues(
  written: Omit<OwnEndpoint, "bind"> & { readonly bind?: string | undefined },
  ranges: readonly Prefix[],
): Issue[] {
  const { address, bind } = written;
  const issues = [
    ...addressIssues("address", address, ranges, false),
    ...(bind === undefined ? [] : addressIssues("bind", bind, ranges, true)),
  ];
  if (issues.length > 0 || bind === undefined || reachedFamilies(bind).includes(familyOf(address))) return issues;
  const expected = `an IPv${familyOf(address)} address or ::, as underlay.address is ${address}`;
  return [{ path: ["node", "underlay", "bind"], message: `expected ${expected}, found ${shortText(bind)}` }];
}

/** Why the node cannot be another one that this node's socket reaches; undefined = it can. */
export function peerProblem(
  { address, port }: { readonly address: string; readonly port: number },
  own: OwnEndpoint,
): string | undefined {
  if (port === own.port && (address === own.address || address === own.bind)) {
    return `expected another address and port than those of this node, found ${address} and port ${port}`;
  }
  if (reachedFamilies(own.bind).includes(familyOf(address))) return undefined;
  const expected = `an IPv${familyOf(own.bind)} address, as this node's socket is bound to ${own.bind} (node.underlay.bind)`;
  return `expected ${expected}, found ${address}`;
}

/** The tunnel must not go through itself, and a host must be able to have its address. */
function addressIssues(
  field: "address" | "bind",
  address: string,
  ranges: readonly Prefix[],
  mayBeUnspecified: boolean,
): Issue[] {
  const path = ["node", "underlay", field];
  const bytes = parseAddress(address);
  if (bytes === undefined) return [{ path, message: `expected an IPv4 or IPv6 address, found ${shortText(address)}` }];
  const range = ranges.find((one) => contains(one, bytes));
  if (range !== undefined)
    return [{ path, message: `expected an address outside the range ${range.text}, found ${address}` }];
  const unusable = unusableRange(bytes);
  if (unusable === undefined || (mayBeUnspecified && address in UNSPECIFIED)) return [];
  const expected = mayBeUnspecified
    ? "an address of this machine, :: or 0.0.0.0"
    : "an address at which other nodes reach this one";
  return [{ path, message: `expected ${expected}, found the ${unusable} address ${address}` }];
}

function reachedFamilies(bind: string): readonly Family[] {
  return UNSPECIFIED[bind] ?? [familyOf(bind)];
}
