// Names of the policies that come with the package: those of their modules, and what Oakestra calls them.

export const BUILT_IN_POLICIES: readonly string[] = [
  "client-affinity",
  "closest",
  "consistent-hash",
  "least-connections",
  "random",
  "round-robin",
  "weighted",
];

const ALIASES: Readonly<Record<string, string>> = { RR: "round-robin", Closest: "closest" };

/** The module's name for a policy's name or alias. */
export function policyName(nameOrAlias: string): string {
  return ALIASES[nameOrAlias] ?? nameOrAlias;
}
