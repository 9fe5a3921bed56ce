// The flows of the process before this one, and the file that keeps those of this one. A proxy without that file works
// as well; it says so once.

import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { reasonOf, SapwoodError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { UndoStack } from "../base/undo-stack.ts";
import { FlowFile, type FlowFileOptions } from "../dataplane/io/flow-file.ts";
import { adoptFlows } from "../dataplane/modules/adoption.ts";
import { monotonicMs } from "../dataplane/worker/worker-contract.ts";
import { readCounters } from "../memory/counters.ts";
import type { SharedMemory } from "../memory/shared-memory.ts";
import type { Alarms } from "../model/alarms.ts";

/** How long flows wait for the tables to have their addresses. An orchestrator may tell them one by one. */
const UNBOUND_MAX_MS = 300_000;
/** A process that is killed goes on to have its files for a moment. */
const LOCK_WAIT_MS = 5000;
const LOCK_LOOK_MS = 20;

interface OpenFlowsOptions {
  readonly keep: boolean;
  /** Beside the control socket unless given. */
  readonly directory?: string | undefined;
  readonly socket: string;
  readonly shared: SharedMemory;
  readonly log: Logger;
  readonly alarms: Alarms;
  /** The lock on the flows that the running process passed on. */
  readonly passedLock?: number | undefined;
}

export interface OpenFlows {
  /** When the workers' clock is 0, in milliseconds of CLOCK_MONOTONIC. */
  readonly clockOriginMs: number;
  /** Undefined: flows do not outlive this process. */
  readonly file: FlowFile | undefined;
  /** Takes over the flows of the process before; to be called when the first tables are in force. */
  adopt(): Promise<void>;
  /** From now on the next start finds the flows of this process, and no longer those of the process before. */
  commit(): void;
}

/** Throws already-running when another process has the folder. */
export async function openFlows(options: OpenFlowsOptions, undo: UndoStack): Promise<OpenFlows> {
  const { keep, socket, shared, log, alarms, passedLock } = options;
  const clockOriginMs = monotonicMs();
  const takeNone = { clockOriginMs, file: undefined, adopt: () => Promise.resolve(), commit: () => undefined };
  if (!keep) return takeNone;
  const folder = options.directory ?? join(dirname(socket), `${basename(socket, ".sock")}.flows`);
  let file: FlowFile;
  try {
    const onProblem = (reason: string) =>
      tellUnkept(alarms, `Flows from now on will not outlive this process: ${reason}`);
    file = await openFile({ shared, folder, clockOriginMs, passedLock, onProblem });
  } catch (error) {
    if (error instanceof SapwoodError) throw error; // another process has them
    tellUnkept(alarms, `Flows will not outlive this process: ${reasonOf(error)}`);
    return takeNone;
  }
  undo.add("close the file of the flows", () => file.close());
  if (file.problem !== undefined) tellUnkept(alarms, `Flows will not outlive this process: ${file.problem}`);
  if (file.refusal !== undefined) {
    const message = `Flows of the process before are left behind: ${file.refusal}`;
    const advice = "Nothing: their connections open again. The file is replaced.";
    alarms.tell({ kind: "state-unusable", subject: "flows", message, advice });
  }
  return {
    clockOriginMs,
    file,
    commit: () => file.commit(),
    adopt: async () => {
      const startMs = monotonicMs();
      const nowMs = startMs - clockOriginMs;
      shared.u32[(HeaderLayout.AT + HeaderLayout.UNBOUND_END_MS) >>> 2] = nowMs + UNBOUND_MAX_MS;
      await adoptFlows(shared, file, nowMs);
      file.followGrowth();
      const { flowsAdopted = 0, flowsRefused = 0, flowsExpired = 0 } = readCounters(shared).counters;
      if (flowsAdopted + flowsRefused + flowsExpired === 0) return;
      const tookMs = Math.round(monotonicMs() - startMs);
      log.info({ flowsAdopted, flowsRefused, flowsExpired, tookMs }, "took over the flows of the process before");
    },
  };
}

function tellUnkept(alarms: Alarms, message: string): void {
  const advice = "Give flows.directory a folder in memory (tmpfs) that has room, and start the proxy again.";
  alarms.tell({ kind: "state-unwritable", subject: "flows", message, advice });
}

async function openFile(options: FlowFileOptions): Promise<FlowFile> {
  const giveUpAtMs = monotonicMs() + LOCK_WAIT_MS;
  for (;;) {
    const file = FlowFile.tryOpen(options);
    if (file !== undefined) return file;
    if (monotonicMs() > giveUpAtMs) {
      throw new SapwoodError("already-running", `The flows in ${options.folder} belong to a proxy that is running.`);
    }
    await sleep(LOCK_LOOK_MS);
  }
}
