// A flow, as the control socket and the live page tell it.

import type { FlowView } from "../../memory/flows.ts";
import type { FlowReport } from "../../model/reports.ts";
import type { InstanceName } from "../tables/table-store.ts";

/** `instance` is the one that serves it; undefined: it is no longer in the tables. */
export function flowReport(flow: FlowView, instance: InstanceName | undefined, nowMs: number): FlowReport {
  return {
    protocol: flow.protocolName === "other" ? String(flow.protocol) : flow.protocolName,
    client: flow.client,
    clientPort: flow.clientPort,
    called: flow.called,
    calledPort: flow.calledPort,
    service: instance?.service ?? null,
    instance: instance?.number ?? null,
    node: instance?.node ?? null,
    state: flow.state,
    idleMs: flow.idleMs(nowMs),
    forwardPackets: flow.forwardPackets,
    reversePackets: flow.reversePackets,
  };
}
