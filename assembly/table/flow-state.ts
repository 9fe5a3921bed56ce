// The state of a flow, and the load of its instance, which changes with it.

import { Flow } from "../record/flow.ts";
import * as FlowLayout from "../shared/layout/flow.ts";
import { FlowState } from "../shared/layout/flow.ts";
import { isLoad } from "./flow-record.ts";
import { countServed } from "./instance.ts";

/**
 * Moves a flow to another state, unless another worker was first. The worker that moves it counts the change. A record
 * that holds no flow any more stays so, also when a packet comes that was under way when the flow ended.
 */
export function setState(flow: usize, from: u32, to: u32): bool {
  if (from == FlowState.free) return false;
  if (Flow.at(flow).exchangeIfState(<u8>from, <u8>to) != <u8>from) return false;
  countChange(flow, from, to);
  return true;
}

/** A flow is load as long as it lives: not when it is closed, and again if it turns out not to be. */
export function countChange(flow: usize, from: u32, to: u32): void {
  const change = i32(isLoad(to)) - i32(isLoad(from));
  if (change == 0 || (Flow.at(flow).seen & FlowLayout.IS_BALANCED) == 0) return;
  countServed(Flow.at(flow).instance, Flow.at(flow).instanceIncarnation, change);
}
