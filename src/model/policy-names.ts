// What is said of policies by name: those of the modules that come with the package, what Oakestra calls them, and what
// a name of one's own may look like.

import { canonicalName } from "./names.ts";

export const BUILT_IN_POLICIES: readonly string[] = [
  "client-affinity",
  "closest",
  "consistent-hash",
  "least-connections",
  "random",
  "round-robin",
  "weighted",
];

/** In the place of a policy's name: the address is that of one instance (Oakestra's type of an address). */
export const INSTANCE_ADDRESS = "instance_ip";

/** How long a call of a policy may take unless the configuration says otherwise. */
export const DEFAULT_POLICY_TIME_MS = 50;

const POLICY_NAME_BYTES_MAX = 63;
/** Names are also names of files, and are part of commands and of paths of the control socket. */
const POLICY_NAME = /^(?:(?!\p{Default_Ignorable_Code_Point})[\p{Ll}\p{Lm}\p{Lo}\p{M}\p{Nd}-])+$/u;
const LETTER = /^[\p{Ll}\p{Lm}\p{Lo}]/u;
export const POLICY_NAME_RULE = `a name of up to ${POLICY_NAME_BYTES_MAX} bytes: letters that are no capitals, digits and -, the first one a letter`;

/** In the one form of its characters (names.ts). */
export function isPolicyName(text: string): boolean {
  const isShort = Buffer.byteLength(text) <= POLICY_NAME_BYTES_MAX;
  return isShort && POLICY_NAME.test(text) && LETTER.test(text) && text === canonicalName(text);
}

const ALIASES: ReadonlyMap<string, string> = new Map([
  ["RR", "round-robin"],
  ["Closest", "closest"],
]);

/** The module's name for a policy's name or alias. */
export function policyName(nameOrAlias: string): string {
  return ALIASES.get(nameOrAlias) ?? nameOrAlias;
}
