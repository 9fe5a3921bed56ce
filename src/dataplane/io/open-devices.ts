// The devices of one worker: a queue of the TUN, a socket of the tunnel, and the wait for both, over descriptors that
// somebody else opened and closes. The only place that chooses what is between the loop and the kernel: nothing,
// unless the settings name faults.

import { type RingHandle, WriteRing } from "../../sys/io-uring.ts";
import { Poller, WakeDrain } from "../../sys/poll.ts";
import { KERNEL } from "./calls.ts";
import { READY_TUN, READY_UDP, type Waiter, type WorkerArea, type WorkerDevices } from "./device.ts";
import type { FaultSettings } from "./fault-settings.ts";
import { faultyDevices } from "./faulty-devices.ts";
import { TunDevice } from "./tun-device.ts";
import { UdpDevice, type UdpFaults } from "./udp-device.ts";

interface DeviceSettings {
  readonly tunFd: number;
  readonly udpFd: number;
  /** eventfd by which somebody else ends a wait. */
  readonly wakeFd: number;
  /** By which many frames are written to the TUN at once; undefined: one by one. */
  readonly ring: RingHandle | undefined;
  readonly area: WorkerArea;
  readonly onRefused: UdpFaults;
  readonly faults: FaultSettings | undefined;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

export function openDevices(settings: DeviceSettings): WorkerDevices {
  const { tunFd, udpFd, wakeFd, ring, area, onRefused, faults, nowMs } = settings;
  const waiter = createWaiter(tunFd, udpFd, wakeFd);
  if (faults === undefined) {
    const writes = ring === undefined ? undefined : new WriteRing(ring, tunFd);
    return { tun: new TunDevice(tunFd, area, KERNEL, writes), udp: new UdpDevice(udpFd, area, onRefused), waiter };
  }
  return faultyDevices(faults, area, nowMs, (tunCalls, udpCalls) => ({
    tun: new TunDevice(tunFd, area, tunCalls),
    udp: new UdpDevice(udpFd, area, onRefused, udpCalls),
    waiter,
  }));
}

/** Waits on TUN, socket and eventfd. */
function createWaiter(tunFd: number, udpFd: number, wakeFd: number): Waiter {
  const poller = new Poller([tunFd, udpFd, wakeFd]);
  const waking = new WakeDrain(wakeFd);
  return {
    wait(timeoutMs) {
      if (poller.wait(timeoutMs) === 0) return 0;
      if (poller.events(2) !== 0) waking.drain();
      // Errors count as ready as well: the device's next call says what it is.
      return (poller.events(0) === 0 ? 0 : READY_TUN) | (poller.events(1) === 0 ? 0 : READY_UDP);
    },
  };
}
