// Where the control socket has a policy.

import { SapwoodError } from "../base/errors.ts";

/** Throws usage for a name that no path can hold (RFC 3986 section 5.2.4). */
export function policyPath(name: string): string {
  if (name !== "" && name !== "." && name !== "..") return `/v1/policies/${encodeURIComponent(name)}`;
  throw new SapwoodError("usage", `The name of a policy is needed; found "${name}".`);
}
