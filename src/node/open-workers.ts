// Fifth stage, at the same time as the fourth: the threads of the data plane. Packets flow when both are done.

import type { UndoStack } from "../base/undo-stack.ts";
import { WorkerWatch } from "../control/observe/worker-watch.ts";
import { addressCandidates } from "../control/tables/address-candidates.ts";
import { Supervisor } from "../dataplane/worker/supervisor.ts";
import type { NodeProxyOptions, OpenConfig } from "./open-config.ts";
import { type Devices, socketAt } from "./open-devices.ts";
import type { OpenTables } from "./open-tables.ts";

export interface OpenWorkers {
  readonly supervisor: Supervisor;
  readonly watch: WorkerWatch;
}

/** With `isHeld` the workers touch neither descriptors nor flows until they are released. */
export async function openWorkers(
  { config, inForce }: OpenConfig,
  { tun, sockets }: Devices,
  { shared, modules, store, flows }: OpenTables,
  { faults, log, spare }: NodeProxyOptions,
  isHeld: boolean,
  undo: UndoStack,
): Promise<OpenWorkers> {
  if (faults !== undefined) log.warn({ faults }, "faults are injected into the devices: this proxy is under test");
  const watch = new WorkerWatch(tun.fds.length, log);
  if (!isHeld) {
    await flows.adopt();
    flows.commit();
  }
  const forWorkers = modules.forWorkers();
  const supervisor = await Supervisor.start({
    memory: shared.memory,
    ...forWorkers,
    policyTimeMs: config.policyLimits.time,
    queues: tun.fds.map((tunFd, i) => ({ tunFd, udpFd: socketAt(sockets, i).fd })),
    lowLatency: config.latency === "low",
    faults,
    spare,
    isHeld,
    clockOriginMs: flows.clockOriginMs,
    onWorkerEnd: (end) => watch.onEnd(end),
  });
  undo.add("stop the workers", () => supervisor.close());
  const nowMs = (): number => supervisor.nowMs();
  inForce.candidates = (policy) => addressCandidates({ shared, node: config.node, store, nowMs }, policy);
  await modules.connect(supervisor, forWorkers);
  return { supervisor, watch };
}
