// Policies that behave as long as they are tried, as WebAssembly text: AssemblyScript's compiler takes a hundred times as
// long.
import { RECORD_DRAINING, RECORD_FLAGS, RECORD_HEALTHY, RECORD_SIZE } from "../../assembly/shared/policies.ts";
import { policyText } from "./wat.ts";

/** Where policyText() has the records, and a word for each service: the first candidate that takes new flows, plus one. */
const [RECORDS_AT, FIRST_AT] = [1024, 64];
const TURNS_AFTER = 25;
const firstAt = `(i32.add (i32.const ${FIRST_AT}) (i32.shl (i32.and (local.get $service) (i32.const 127)) (i32.const 2)))`;

/**
 * In a trial flows of many clients come; only real traffic has one client for long. Until then the first candidate is
 * chosen; `hostile` is what choose() and update() do afterwards.
 */
export function turning(hostile: { readonly choose?: string; readonly update?: string }, more = ""): string {
  const { choose = "", update = "" } = hostile;
  const globals = ["last", "times", "isHostile"].map((name) => `(global $${name} (mut i32) (i32.const 0))`).join("\n");
  return policyText(
    {
      update: `(func (export "update") (param $service i32) (param $left i32) (result i32)
        (if (global.get $isHostile) (then ${update}))
        (i32.store ${firstAt} (i32.const 0))
        (block $done (loop $next
          (br_if $done (i32.eqz (local.get $left)))
          (if (i32.eq (i32.const ${RECORD_HEALTHY}) (i32.and (i32.const ${RECORD_DRAINING | RECORD_HEALTHY}) (i32.load
              (i32.add (i32.const ${RECORDS_AT - RECORD_SIZE + RECORD_FLAGS})
                (i32.mul (local.get $left) (i32.const ${RECORD_SIZE}))))))
            (then (i32.store ${firstAt} (local.get $left))))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $next)))
        (i32.const 0))`,
      choose: `(func (export "choose") (param $service i32) (param $flow i32) (param $client i32) (result i32)
        (if (i32.eq (local.get $client) (global.get $last))
          (then (global.set $times (i32.add (global.get $times) (i32.const 1))))
          (else (global.set $times (i32.const 0))))
        (global.set $last (local.get $client))
        (if (i32.gt_s (global.get $times) (i32.const ${TURNS_AFTER})) (then (global.set $isHostile (i32.const 1))))
        (if (global.get $isHostile) (then ${choose}))
        (i32.sub (i32.load ${firstAt}) (i32.const 1)))`,
    },
    `${globals} ${more}`,
  );
}
