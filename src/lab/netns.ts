// Named network namespaces in a sandbox, and the links, addresses and routes in them. Nothing is removed here:
// all of it goes with the sandbox.
import type { Sandbox } from "./sandbox.ts";

/** A pair of connected interfaces, each in its namespace. */
interface VethPair {
  readonly ends: readonly [VethEnd, VethEnd];
  readonly mtu: number;
}

interface VethEnd {
  readonly namespace: string;
  readonly device: string;
}

// A link-local address that waits for duplicate detection (RFC 4862, 5.4) leaves a router unable to solicit neighbours
// for its first second or two.
const WITHOUT_DUPLICATE_DETECTION = "for of in all default; do echo 0 > /proc/sys/net/ipv6/conf/$of/accept_dad; done";

/** Makes network namespaces, with their loopback up; addresses in them are usable at once. */
export async function addNamespaces(sandbox: Sandbox, names: readonly string[]): Promise<void> {
  await configure(
    sandbox,
    undefined,
    names.map((name) => `netns add ${name}`),
  );
  await Promise.all(
    names.map(async (name) => {
      await sandbox.expect(["sh", "-e", "-c", WITHOUT_DUPLICATE_DETECTION], name);
      await configure(sandbox, name, ["link set lo up"]);
    }),
  );
}

/** Makes veth pairs, each end in its own namespace. */
export async function addVethPairs(sandbox: Sandbox, pairs: readonly VethPair[]): Promise<void> {
  const lines = pairs.map(({ ends: [one, other], mtu }) => {
    const first = `name ${one.device} mtu ${mtu} netns ${one.namespace}`;
    return `link add ${first} type veth peer name ${other.device} mtu ${mtu} netns ${other.namespace}`;
  });
  await configure(sandbox, undefined, lines);
}

/** Runs lines of `ip -batch`, in a namespace or in the sandbox's own; the first that fails stops it. */
export async function configure(
  sandbox: Sandbox,
  namespace: string | undefined,
  lines: readonly string[],
): Promise<void> {
  if (lines.length > 0) await sandbox.expect(["ip", "-batch", "-"], namespace, `${lines.join("\n")}\n`);
}
