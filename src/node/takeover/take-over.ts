// The steps of a takeover that need the parts of the next process: a last trial, flows, and packets.

import { setTimeout as sleep } from "node:timers/promises";
import { SapwoodError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { tryEngine } from "../../dataplane/modules/module-trial.ts";
import { flowCount, packetsPassed, readCounters } from "../../memory/counters.ts";
import { callSteps } from "../../memory/quiescence.ts";
import type { Stages } from "../stages.ts";
import { tablesInForce } from "./tables-in-force.ts";
import type { Takeover } from "./takeover.ts";

/** Each worker has called the engine and left it. An idle one does so twice a second. */
const STEPS_MIN = 2;
const FLOW_LIMIT_MS = 4000;
/** Where packets passed before, one has to pass within this time, if any comes. */
const PASS_LIMIT_MS = 1000;
const LOOK_MS = 2;

/**
 * Everything is open, and the workers are held: resolves when the packets of the running process pass through this one,
 * and nobody else answers at its control socket. Throws takeover-failed or module-refused; then the running process
 * goes on as soon as this one has let go.
 */
export async function takeOver(
  { config, modules, store, shared, flows, supervisor, watch }: Stages,
  takeover: Takeover,
  log: Logger,
): Promise<void> {
  const { bytes } = modules.engine.current;
  await tryEngine({ bytes, inForce: bytes, isForced: true });
  const held = await takeover.holdRunning();
  const heldMs = performance.now();
  if (held !== undefined && held.generation !== takeover.passedOn.generation) {
    await store.apply(await tablesInForce(config, takeover)); // they changed while this process started
  }
  await flows.adopt();
  const before = callSteps(shared);
  supervisor.release();
  const pauseMs = performance.now() - heldMs;
  await packetsFlow(before, held?.passes === true);
  await takeover.confirm(pauseMs, flowCount(shared));
  const { pid, version } = takeover.passedOn;
  log.info({ pid, version, pauseMs: Math.round(pauseMs), flows: flowCount(shared) }, "took over from a running proxy");

  async function packetsFlow(before: readonly number[], mustPass: boolean): Promise<void> {
    const startMs = performance.now();
    for (;;) {
      const steps = callSteps(shared).map((now, worker) => (now - (before[worker] ?? 0)) >>> 0);
      const elapsedMs = performance.now() - startMs;
      const ended = watch.restarts.findIndex((restarts) => restarts > 0);
      if (ended >= 0) throw failed(`worker ${ended} ended`);
      if (steps.every((count) => count >= STEPS_MIN)) {
        if (!mustPass || packetsPassed(shared) > 0) return;
        const came = packetsRead();
        if (elapsedMs > PASS_LIMIT_MS && came === 0) return;
        if (elapsedMs > PASS_LIMIT_MS) throw failed(`${came} frames came and no packet was passed on`);
      } else if (elapsedMs > FLOW_LIMIT_MS) throw failed("a worker does not call its engine");
      await sleep(LOOK_MS);
    }
  }

  function packetsRead(): number {
    const { tunReadFrames = 0, udpReceivedMessages = 0 } = readCounters(shared).counters;
    return tunReadFrames + udpReceivedMessages;
  }
}

function failed(what: string): SapwoodError {
  return new SapwoodError("takeover-failed", `Packets do not flow through the next process: ${what}.`);
}
