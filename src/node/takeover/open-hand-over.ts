// What the running process passes on, and how it lets go of it, in terms of its parts.

import type { ChangeGate } from "../../control/api/change-gate.ts";
import type { EventLog } from "../../control/observe/event-log.ts";
import { flowCount, packetsPassed } from "../../memory/counters.ts";
import { whyUnreplaceable } from "../../sys/main-process.ts";
import type { Listeners } from "../listeners.ts";
import type { NodeProxyOptions } from "../open-config.ts";
import type { Stages } from "../stages.ts";
import { HandOver } from "./hand-over.ts";

export function openHandOver(
  { socket, encrypted, tun, sockets, flows, modules, store, shared, supervisor, networkWatch, ending }: Stages,
  { version, log }: NodeProxyOptions,
  events: EventLog,
  { listeners, changes }: { readonly listeners: Listeners; readonly changes: ChangeGate },
): HandOver {
  const handOver = new HandOver({
    socket,
    version,
    log,
    tell: (event) => events.add(event),
    parts: {
      tun: tun.fds,
      sockets: sockets.map(({ fd }) => fd),
      flowsLock: flows.file?.lockDescriptor,
      stateLock: () => modules.lockDescriptor,
      refusal: () => (encrypted === undefined ? whyUnreplaceable(process.env) : ENCRYPTED),
      generation: () => store.generation,
      packetsPassed: () => packetsPassed(shared),
      flows: () => flowCount(shared),
      changes,
      leaveNetwork: () => networkWatch.pause(),
      resumeNetwork: () => networkWatch.resume(),
      holdWorkers: () => supervisor.hold(),
      releaseWorkers: () => supervisor.release(),
      closeListeners: () => listeners.close(),
      openListeners: () => listeners.open(),
      clear: () => flows.file?.removeOthersDrafts(),
    },
  });
  // All that is in the node's network is the other process's from then on.
  handOver.completed.then(() => {
    ending.keepsGuard = true;
    ending.keepsTun = true;
  });
  return handOver;
}

const ENCRYPTED = "The underlay is encrypted, and its interface cannot be passed on: restart the proxy.";
