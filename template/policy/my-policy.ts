// my-policy: each new flow goes to the next instance. sdk/policy/sdk.ts says what else a policy can use.

import { abiVersion, CHOICE_NONE, reserve, Service, update } from "./sdk/policy/sdk.ts";

export { abiVersion, reserve, update };

export function choose(service: i32, flowHash: i32, _clientHash: i32): i32 {
  const known = Service.find(service);
  return known == null ? CHOICE_NONE : known.next(flowHash);
}
