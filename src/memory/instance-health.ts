// What the engine and the policies know of the health of an instance. Written by the control plane alone.

import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as InstanceLayout from "../../assembly/shared/layout/instance.ts";
import { InstanceHealth } from "../../assembly/shared/layout/instance.ts";
import type { SharedMemory } from "./shared-memory.ts";

/** What checks say. */
export type InstanceHealthName = Exclude<keyof typeof InstanceHealth, "suspect">;

/** New flows are chosen by it at once; policies see it with their next refresh. Established flows stay. */
export function writeInstanceHealth(shared: SharedMemory, instance: number, health: keyof typeof InstanceHealth): void {
  const before = Atomics.exchange(shared.i32, healthAt(shared, instance), InstanceHealth[health]);
  if (before === InstanceHealth[health]) return;
  Atomics.add(shared.i32, (HeaderLayout.AT + HeaderLayout.METRICS_EPOCH) >>> 2, 1);
}

/** As policies see it. */
export function isUnhealthy(shared: SharedMemory, instance: number): boolean {
  const health = Atomics.load(shared.i32, healthAt(shared, instance));
  return health === InstanceHealth.unhealthy || health === InstanceHealth.suspect;
}

function healthAt(shared: SharedMemory, instance: number): number {
  return (shared.at(Region.instances) + instance * InstanceLayout.SIZE + InstanceLayout.HEALTH) >>> 2;
}
