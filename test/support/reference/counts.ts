// Names of what the engine counts, as the tests write them.
import type { Counter } from "../../../assembly/shared/counters.ts";
import type { DropReason } from "../../../assembly/shared/verdicts.ts";

export type CounterName = Exclude<keyof typeof Counter, "count">;
export type DropName = Exclude<keyof typeof DropReason, "none" | "count">;
/** "egressPackets", "egressDrop.notIp", "ingressDrop.wrongNode", ... */
export type CountName = CounterName | `${"egress" | "ingress"}Drop.${DropName}`;
export type Counts = Partial<Record<CountName, number>>;
