// Entry of a data-plane thread: binds an engine to the descriptors it is given and runs the loop until it is told to
// stop. The loop blocks this thread's event loop by design, so orders come through shared memory and an eventfd.
// Opens nothing, so closes nothing: descriptors and memory outlive the thread, and a successor takes them over.

import { parentPort, workerData } from "node:worker_threads";
import { HEADER_AT, HEADER_FLOW_LIMIT, HEADER_FLOW_NEXT, HEADER_WORKER_COUNT } from "../../assembly/shared/layout.ts";
import { SapwoodError } from "../errors.ts";
import { Poller, WakeDrain } from "../sys/poll.ts";
import { WorkerArea } from "./device.ts";
import type { EngineExports } from "./engine-contract.ts";
import { Loop, READY_TUN, READY_UDP, type Waiter } from "./loop.ts";
import { PolicyHost } from "./policies.ts";
import { TunDevice } from "./tun-device.ts";
import { UdpDevice } from "./udp-device.ts";
import { instantiateEngine } from "./wasm.ts";
import { monotonicMs, type WorkerMessage, type WorkerOptions } from "./worker-contract.ts";

/** Microseconds since `originMs`. Reads performance.now(), because process.hrtime() allocates. */
function createClock(originMs: number): () => number {
  const shiftMs = monotonicMs() - performance.now() - originMs;
  return () => (performance.now() + shiftMs) * 1000;
}

/** Waits on TUN, socket and eventfd. */
function createWaiter({ tunFd, udpFd, wakeFd }: WorkerOptions): Waiter {
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

/** The records below the first one that was never used, shared out among the workers. */
function createFlowRecords(memory: WebAssembly.Memory): () => number {
  const header = new Uint32Array(memory.buffer, HEADER_AT);
  const word = (offset: number): number => header[offset >> 2] as number;
  return () => Math.min(word(HEADER_FLOW_NEXT), word(HEADER_FLOW_LIMIT)) / word(HEADER_WORKER_COUNT);
}

function runWorker(options: WorkerOptions, report: (message: WorkerMessage) => void): void {
  const { memory, worker } = options;
  const policies = new PolicyHost(memory, options.policies, worker);
  const choose = (serviceAt: number, flowHash: number, clientHash: number): number =>
    policies.choose(serviceAt, flowHash, clientHash);
  const engine: EngineExports = instantiateEngine(options.engine, memory, choose);
  const area = new WorkerArea(memory, worker);
  engine.attach(worker, area.memoryBase);

  const stop = new Int32Array(options.stop);
  const loop = new Loop({
    engine,
    tun: new TunDevice(options.tunFd, area),
    udp: new UdpDevice(options.udpFd, area, (message, errno) => engine.udpRejected(message, errno)),
    waiter: createWaiter(options),
    clock: createClock(options.clockOriginMs),
    flowRecords: createFlowRecords(memory),
    isProber: worker === 0,
    isStopped: () => Atomics.load(stop, 0) !== 0,
  });
  report({ type: "ready" });
  loop.run();
  report({ type: "stopped" });
}

const port = parentPort;
if (port !== null) {
  try {
    runWorker(workerData as WorkerOptions, (message) => port.postMessage(message));
  } catch (error) {
    const code = error instanceof SapwoodError ? error.code : "system-call";
    const message = error instanceof SapwoodError ? error.message : `The engine failed: ${String(error)}.`;
    port.postMessage({ type: "failed", code, message } satisfies WorkerMessage);
  }
}
