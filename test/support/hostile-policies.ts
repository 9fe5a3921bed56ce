// Policies that behave as long as they are tried.

import { policySource, TAKE_FIRST } from "./policy-source.ts";

/**
 * In a trial flows of many clients come; only real traffic has one client for long. Until then the first candidate is
 * chosen; `then` is what comes afterwards.
 */
export function turning(then: string, functions: Parameters<typeof policySource>[0] = {}, more = ""): string {
  const choose = `
    let last: i32 = 0;
    let times: i32 = 0;
    let isHostile = false;
    export function choose(service: i32, flowHash: i32, clientHash: i32): i32 {
      times = clientHash == last ? times + 1 : 0;
      last = clientHash;
      if (times > 25) isHostile = true;
      if (isHostile) { ${then} }
      ${TAKE_FIRST}
    }`;
  return policySource({ choose, ...functions }, more);
}
