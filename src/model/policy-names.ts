// Names of policies: those of the modules that come with the package, what Oakestra calls them, and what a name of
// one's own may look like.

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

/** Names are also those of files and of npm packages. */
export const POLICY_NAME = /^[a-z][a-z0-9-]{0,62}$/;
export const POLICY_NAME_RULE = "a name of up to 63 characters a-z, 0-9 and -, the first one a letter";

const ALIASES: ReadonlyMap<string, string> = new Map([
  ["RR", "round-robin"],
  ["Closest", "closest"],
]);

/** The module's name for a policy's name or alias. */
export function policyName(nameOrAlias: string): string {
  return ALIASES.get(nameOrAlias) ?? nameOrAlias;
}
