// What a configuration leaves to the machine and its surroundings.

import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import type { Config } from "../control/config/config.ts";
import type { MemoryOptions } from "../memory/shared-memory.ts";

/** Addresses that bind a socket to all of the machine's. */
const UNSPECIFIED: readonly string[] = ["::", "0.0.0.0"];

/** Whether the ranges are to be unreachable while no proxy runs. */
export function isGuarded({ guard }: Pick<Config, "guard">, env: NodeJS.ProcessEnv): boolean {
  return guard.routes === "auto" ? isSupervised(env) : guard.routes;
}

/** Whether the TUN is to outlive the process. */
export function isPersistent({ tun }: Pick<Config, "tun">, env: NodeJS.ProcessEnv): boolean {
  return tun.persist === "auto" ? isSupervised(env) : tun.persist;
}

/** By systemd, which starts a proxy that died again. systemd.exec(5) and sd_notify(3) describe the variables. */
function isSupervised(env: NodeJS.ProcessEnv): boolean {
  return env.INVOCATION_ID !== undefined || env.NOTIFY_SOCKET !== undefined;
}

/** One worker per two processors: workloads and the kernel's part of the way need the others. */
export function chooseQueues(configured: number | "auto", processors: number): number {
  if (configured !== "auto") return configured;
  return Math.min(WorkerLayout.MAX, Math.max(1, Math.floor(processors / 2)));
}

/** The shared memory that a configuration asks for. */
export function memoryOptionsOf(
  config: Config,
  { workers, tunMtu }: { readonly workers: number; readonly tunMtu: number },
): MemoryOptions {
  const { capacities, flows, passiveHealth, ranges, probe, tunnel, unknown } = config;
  return {
    capacities: { ...capacities, flows: flows.limit, workers },
    timeoutsMs: flows.timeouts,
    ranges,
    probeIntervalMs: probe.interval,
    passiveHealth: passiveHealth.enabled
      ? {
          failures: passiveHealth.failures,
          pauseMs: passiveHealth.pause,
          unansweredMs: passiveHealth.unanswered,
        }
      : undefined,
    answers: answersOf(config),
    tunMtu,
    outerClass: tunnel,
    park: unknown.ask ? { ...unknown, timeoutMs: unknown.timeout } : undefined,
  };
}

/** What the engine tells clients and from whom it takes packets, as the header has it. */
function answersOf({ node: { acceptStrangers }, errors, tcp }: Config): number {
  return (
    (errors.icmp ? HeaderLayout.ANSWER_WITH_ICMP : 0) |
    (errors.reset ? HeaderLayout.ANSWER_WITH_RESET : 0) |
    (errors.lostNode === "none" ? 0 : HeaderLayout.ANSWER_LOST) |
    (errors.lostNode === "reset" ? HeaderLayout.ANSWER_LOST_WITH_RESET : 0) |
    (tcp.clampMss ? HeaderLayout.CLAMP_MSS : 0) |
    (acceptStrangers ? HeaderLayout.ACCEPT_STRANGERS : 0)
  );
}

/** The address by which the underlay's interface is found. */
export function underlayAddress({ node: { underlay } }: Config): string {
  return UNSPECIFIED.includes(underlay.bind) ? underlay.address : underlay.bind;
}
