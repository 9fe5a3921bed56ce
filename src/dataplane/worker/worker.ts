// Entry of a data-plane thread: waits for its options, binds an engine to the descriptors that these name, and runs the
// loop until it is told to stop.
// Opens nothing, so closes nothing: descriptors and memory outlive the thread, and a successor takes them over.

import { type MessagePort, parentPort } from "node:worker_threads";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import * as WaitingLayout from "../../../assembly/shared/layout/waiting.ts";
import * as WorkerLayout from "../../../assembly/shared/layout/worker.ts";
import { SapwoodError } from "../../base/errors.ts";
import { setThreadNice } from "../../sys/priority.ts";
import { idleProcessorUs } from "../../sys/processors.ts";
import { threadId } from "../../sys/thread-clock.ts";
import { CaptureSwitch } from "../capture/capture-switch.ts";
import { WorkerArea } from "../io/device.ts";
import { openDevices } from "../io/open-devices.ts";
import type { EngineExports } from "../modules/engine-contract.ts";
import { CALL_THREAD, PolicyBoard } from "../modules/policy-board.ts";
import { instantiateEngine } from "../modules/wasm.ts";
import { createAttendant } from "./attendant.ts";
import { type EngineSeat, Loop } from "./loop.ts";
import { PolicyHost } from "./policies.ts";
import { Spin } from "./spin.ts";
import { WatchedEngine } from "./watched-engine.ts";
import { monotonicMs, type WorkerMessage, type WorkerOptions } from "./worker-contract.ts";

/**
 * The kernel's own overlay works in softirqs, ahead of every program. As one of many, a worker would find packets that
 * waited for milliseconds and left the cache meanwhile: 5 % more processor time with four TCP streams. It also has to
 * go before this process's main thread, which may have a million instances in hand. Below -3 it holds up the workloads
 * whose packets it carries: at -10 a UDP echo takes half as long again. Where the kernel refuses it, the worker runs as
 * any other thread.
 */
const WORKER_NICE = -3;

/** Microseconds since `originMs`. Reads performance.now(), because process.hrtime() allocates. */
function createClock(originMs: number): () => number {
  const shiftMs = monotonicMs() - performance.now() - originMs;
  return () => (performance.now() + shiftMs) * 1000;
}

/** The records below the first one that was never used, shared out among the workers. */
function createFlowRecords(memory: WebAssembly.Memory): () => number {
  const header = new Uint32Array(memory.buffer, HeaderLayout.AT);
  const word = (offset: number): number => header[offset >> 2] as number;
  return () => Math.min(word(HeaderLayout.FLOW_NEXT), word(HeaderLayout.FLOW_LIMIT)) / word(HeaderLayout.WORKER_COUNT);
}

function createParkedPackets(memory: WebAssembly.Memory, worker: number): () => number {
  const words = new Uint32Array(memory.buffer);
  const workersAt = words[(HeaderLayout.AT + HeaderLayout.REGIONS + 4 * Region.workers) >> 2] as number;
  const at = (workersAt + worker * WorkerLayout.SIZE + WorkerLayout.WAITING_PARKED + WaitingLayout.ROW_COUNT) >> 2;
  return () => words[at] as number;
}

function createProbePause(memory: WebAssembly.Memory): () => number {
  const header = new Int32Array(memory.buffer, HeaderLayout.AT);
  return () => Atomics.load(header, HeaderLayout.PROBE_PAUSE_MS >> 2) * 1000;
}

/** Makes the engines that this worker runs: on its memory, watched, with its policies. */
function engineMaker(
  { memory, worker }: WorkerOptions,
  area: WorkerArea,
  board: PolicyBoard,
  policies: PolicyHost,
): (module: WebAssembly.Module) => EngineExports {
  return (module) => {
    const engine = new WatchedEngine(board.call(worker), () =>
      instantiateEngine(module, memory, (serviceAt, flowHash, clientHash) =>
        policies.choose(serviceAt, flowHash, clientHash),
      ),
    );
    engine.attach(worker, area.memoryBase);
    return engine;
  };
}

function runWorker(options: WorkerOptions, port: MessagePort): void {
  const { memory, worker } = options;
  setThreadNice(WORKER_NICE);
  const report = (message: WorkerMessage): void => port.postMessage(message);
  const board = new PolicyBoard(options.board);
  board.call(worker)[CALL_THREAD] = threadId();
  const policies = new PolicyHost(memory, options.policies, worker, {
    board,
    onFault: (slot, message) => report({ type: "policyFailed", slot, message }),
  });
  const area = new WorkerArea(memory, worker);
  const attached = engineMaker(options, area, board, policies);
  const captures = new CaptureSwitch(area);
  captures.set(options.captures);
  const engine: EngineSeat = { current: captures.around(attached(options.engine)) };

  const clock = createClock(options.clockOriginMs);
  const loop = new Loop({
    engine,
    ...openDevices({
      ...options,
      area,
      onRefused: {
        udpRejected: (message, errno) => engine.current.udpRejected(message, errno),
        pathError: (errno, origin, mtu, quoted) => engine.current.pathError(errno, origin, mtu, quoted),
      },
      nowMs: () => clock() / 1000,
    }),
    clock,
    flowRecords: createFlowRecords(memory),
    parkedPackets: createParkedPackets(memory, worker),
    probePauseUs: worker === 0 ? createProbePause(memory) : undefined,
    spin: options.lowLatency ? new Spin({ idleUs: idleProcessorUs }, clock()) : undefined,
    attendOrders: createAttendant(options, port, (order) => {
      if (order.kind === "engine") engine.current = captures.around(attached(order.module));
      else if (order.kind === "capture") {
        captures.set(order.captures);
        engine.current = captures.around(engine.current);
      } else if (order.kind === "policy") policies.replace(order);
    }),
  });
  report({ type: "ready" });
  loop.run();
  report({ type: "stopped" });
}

const port = parentPort;
port?.once("message", (options: WorkerOptions | undefined) => {
  if (options === undefined) return; // nobody needs this thread, and with nothing to wait for it ends
  try {
    runWorker(options, port);
  } catch (error) {
    const code = error instanceof SapwoodError ? error.code : "internal";
    const message = error instanceof SapwoodError ? error.message : `The engine failed: ${String(error)}.`;
    port.postMessage({ type: "failed", code, message } satisfies WorkerMessage);
  }
});
