// Wraps the devices of a worker with faults, above them (what arrives) and below them (the system calls). Each keeps
// its interface, so that the loop knows nothing of it.

import { KERNEL, type TunCalls, type UdpCalls } from "./calls.ts";
import {
  type DatagramDevice,
  type FrameDevice,
  READY_TUN,
  READY_UDP,
  type Waiter,
  type WorkerArea,
  type WorkerDevices,
} from "./device.ts";
import { FaultDice } from "./fault-dice.ts";
import type { FaultSettings } from "./fault-settings.ts";
import { FaultyArrivals } from "./faulty-arrivals.ts";
import { FaultyCalls } from "./faulty-calls.ts";
import { FrameSlots, MessageSlots } from "./receive-slots.ts";

/** `open` makes the devices on calls that fail. */
export function faultyDevices(
  { seed, tun, tunnel }: FaultSettings,
  area: WorkerArea,
  nowMs: () => number,
  open: (tunCalls: TunCalls, udpCalls: UdpCalls) => WorkerDevices,
): WorkerDevices {
  const [tunDice, udpDice] = [new FaultDice(seed, area, 0), new FaultDice(seed, area, 1)];
  const inner = open(new FaultyCalls(KERNEL, tun, tunDice), new FaultyCalls(KERNEL, tunnel, udpDice));
  const frames = new FaultyArrivals(new FrameSlots(area), tun, tunDice, nowMs);
  const messages = new FaultyArrivals(new MessageSlots(area), tunnel, udpDice, nowMs);
  return {
    tun: faultyFrames(inner.tun, frames),
    udp: faultyDatagrams(inner.udp, messages),
    waiter: impatient(inner.waiter, frames, messages, nowMs),
  };
}

function faultyFrames(inner: FrameDevice, arrivals: FaultyArrivals): FrameDevice {
  return { readBatch: (most) => arrivals.receive(() => inner.readBatch(most)), writeQueue: () => inner.writeQueue() };
}

function faultyDatagrams(inner: DatagramDevice, arrivals: FaultyArrivals): DatagramDevice {
  return { receiveBatch: () => arrivals.receive(() => inner.receiveBatch()), sendQueue: () => inner.sendQueue() };
}

/** Also ends when something that a device keeps is due. */
function impatient(inner: Waiter, frames: FaultyArrivals, messages: FaultyArrivals, nowMs: () => number): Waiter {
  return {
    wait(timeoutMs) {
      const dueInMs = Math.ceil(Math.min(frames.dueMs, messages.dueMs) - nowMs());
      const ready = inner.wait(Math.max(0, Math.min(timeoutMs, dueInMs)));
      const now = nowMs();
      return ready | (frames.dueMs <= now ? READY_TUN : 0) | (messages.dueMs <= now ? READY_UDP : 0);
    },
  };
}
