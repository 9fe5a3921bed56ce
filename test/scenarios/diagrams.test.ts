// The sequence diagrams of the documentation are what really happens: a worker's thread and the control plane note what
// they do, one line each, and the document has exactly these lines.

import type { ChildProcess } from "node:child_process";
import diagnostics from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import { expect, onTestFinished, test, vi } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import { createLogger } from "../../src/base/log.ts";
import { loadBuiltModules } from "../../src/control/modules/built-modules.ts";
import { EngineRegistry } from "../../src/control/modules/engine-registry.ts";
import { Questions } from "../../src/control/tables/questions.ts";
import { TableStore } from "../../src/control/tables/table-store.ts";
import { endTrials } from "../../src/dataplane/modules/module-trial.ts";
import { builtModulePath } from "../../src/dataplane/modules/wasm.ts";
import { Supervisor } from "../../src/dataplane/worker/supervisor.ts";
import { Cells } from "../../src/memory/cells.ts";
import { createSharedMemory, type SharedMemory } from "../../src/memory/shared-memory.ts";
import { TableWriter } from "../../src/memory/table-writer.ts";
import type { Service, TablesPatch } from "../../src/model/tables.ts";
import { parsePrefix } from "../../src/net/address.ts";
import { packet } from "../support/packet-builder.ts";
import { expectDiagram, Trace } from "../support/trace.ts";
import {
  A1,
  B1,
  B2,
  B3,
  instance,
  NODE,
  RANGES,
  ROUND_ROBIN,
  SERVICE,
  service,
  THIS_NODE,
  UNKNOWN,
} from "../support/world.ts";

const PARK = { timeoutMs: 60_000, packets: 4, bytes: 100_000 };
const B: Service = service("b", [instance(1, "node-b", B1)], ROUND_ROBIN.b.v4);
const LATE: Service = service("late", [instance(1, "node-b", B2)], UNKNOWN.v4);

/** Notes what control stores: what it prepares, the generation, and what it frees afterwards. */
class TracedCells extends Cells {
  readonly #shared: SharedMemory;
  readonly #trace: Trace;
  readonly #regions = new Set<string>();
  #isInForce = false;
  isOn = false;

  constructor(shared: SharedMemory, trace: Trace) {
    super(shared);
    this.#shared = shared;
    this.#trace = trace;
  }

  override u32(at: number, value: number): void {
    this.#note(at);
    super.u32(at, value);
  }

  override address(at: number, words: Uint32Array | undefined): void {
    this.#note(at);
    super.address(at, words);
  }

  override atomic(at: number, value: number): void {
    if (this.isOn && at === HeaderLayout.AT + HeaderLayout.GENERATION) {
      this.#trace.note(
        `C->>M: writes where generation ${value - 1} does not look: ${[...this.#regions].sort().join(", ")}`,
      );
      this.#trace.note(`C->>M: generation = ${value}`);
      this.#isInForce = true;
    } else this.#note(at);
    super.atomic(at, value);
  }

  #note(at: number): void {
    if (!this.isOn) return;
    if (this.#isInForce) {
      // The first store for which it waited: the worker has left its call, and is about to note it.
      this.isOn = false;
      this.#trace.waitForEndOfCall();
      this.#trace.note("C->>M: frees what only the generation before showed");
      return;
    }
    const region = this.#regionAt(at);
    if (region !== undefined) this.#regions.add(region);
  }

  #regionAt(at: number): string | undefined {
    const starts = Array.from({ length: Region.count }, (_, region) => ({ region, at: this.#shared.at(region) }));
    const [around] = starts.filter((start) => start.at <= at).sort((a, b) => b.at - a.at);
    return around === undefined ? undefined : Region[around.region];
  }
}

interface TracedNode {
  readonly shared: SharedMemory;
  readonly trace: Trace;
  readonly cells: TracedCells;
  readonly writer: TableWriter;
  readonly store: TableStore;
  readonly supervisor: Supervisor;
}

const BUILT = await loadBuiltModules(new Date(0));

/** A node with one worker; A and one instance of B are in its tables. */
async function openNode(): Promise<TracedNode> {
  const capacities = { flows: 64, addresses: 64, instances: 32, workloads: 16, nodes: 4, workers: 1 };
  const shared = createSharedMemory({ capacities, ranges: RANGES.map(parsePrefix), park: PARK });
  const trace = new Trace(shared);
  const cells = new TracedCells(shared, trace);
  const writer = new TableWriter(shared, { nodeId: THIS_NODE, policySlot: () => 0, cells });
  const store = new TableStore(writer, { nodeId: THIS_NODE, ranges: RANGES.map(parsePrefix) });
  await store.apply({ nodes: [NODE.b], services: [SERVICE.a, B] });
  await writer.settled();
  const supervisor = await Supervisor.start({
    memory: shared.memory,
    engine: BUILT.engine.module,
    policies: BUILT.policies
      .filter(({ name }) => name === "round-robin")
      .map(({ name, loaded }) => ({ slot: 0, name, module: loaded.module })),
    policyTimeMs: 600_000, // the test holds a call
    queues: [{ tunFd: -1, udpFd: -1 }],
    onWorkerEnd: ({ error }) => trace.note(`Note over W: ${error.message}`),
    workerFile: new URL("./in-worker/traced-worker.mjs", import.meta.url),
  });
  onTestFinished(() => supervisor.close());
  return { shared, trace, cells, writer, store, supervisor };
}

function frameTo(called: string, sport: number): Uint8Array {
  return packet().ip(A1.v4, called).udp({ sport, dport: 53 }).payload(20).frame();
}

function patch(...services: readonly Service[]): TablesPatch {
  return { nodes: [], services, remove: { nodes: [], services: [] } };
}

test("a generation comes into force while a worker is in a call", async () => {
  const { trace, cells, writer, store } = await openNode();
  trace.hold();
  trace.send(frameTo(ROUND_ROBIN.b.v4, 1001));
  await trace.untilHeld();

  cells.isOn = true;
  await store.merge(patch(service("b", [instance(2, "node-b", B2), instance(3, "node-b", B3)], ROUND_ROBIN.b.v4)));
  trace.release();
  await writer.settled();
  await trace.until("W->>N");

  trace.send(frameTo(ROUND_ROBIN.b.v4, 1002));
  await trace.until("W->>N", 2);
  const participants = { A: "workload A", W: "worker", M: "shared memory", C: "control plane", N: "node-b" };
  expectDiagram("docs/memory.md", "generation", participants, trace.lines());
});

test("a packet to an unknown address is parked", async () => {
  const { shared, trace, cells, store, supervisor } = await openNode();
  const questions = new Questions({
    shared,
    timeoutMs: PARK.timeoutMs,
    nowMs: () => supervisor.nowMs(),
    isKnown: (address) => store.hasAddress(address),
  });
  trace.send(frameTo(UNKNOWN.v4, 1001));
  await trace.until("W->>M: ends the call");
  for (const { address } of await questions.next(60_000)) {
    trace.note(`C->>M: reads what waits: ${address}`);
    trace.note(`C->>P: asks for ${address}`);
  }
  trace.note(`P->>C: service ${LATE.name}, on ${LATE.instances[0]?.node}`);
  cells.isOn = true;
  await store.merge(patch(LATE));
  await trace.until("W->>N");
  expect(questions.open()).toEqual([]);
  const participants = {
    A: "workload A",
    W: "worker",
    M: "shared memory",
    C: "control plane",
    P: "provider",
    N: "node-b",
  };
  expectDiagram("docs/packet-path.md", "parking", participants, trace.lines());
});

test("an engine is replaced while a flow goes on", async () => {
  const { trace, supervisor } = await openNode();
  endTrials(); // so that the next one begins a process, which the channel tells of
  const registry = new EngineRegistry({
    builtIn: BUILT.engine,
    clock: () => new Date(0),
    log: createLogger("info", { write: () => undefined }),
    onChange: () => trace.note("C->>C: notes that another engine is in force"),
  });
  const handEngine: Supervisor["handEngine"] = async (module) => {
    trace.note("C->>S: hands over the engine");
    const handOver = await supervisor.handEngine(module);
    trace.note("S-->>C: every worker has it");
    return handOver;
  };
  await registry.connect({ handEngine }, BUILT.engine.module);
  trace.send(frameTo(ROUND_ROBIN.b.v4, 1001));
  await trace.until("W->>N");

  const onProcess = (message: unknown): void => {
    const { process: child } = message as { process: ChildProcess };
    trace.note("C->>T: begins a process and gives it both engines");
    child.on("message", ({ kind }: { kind: string }) => trace.note(`T-->>C: ${kind}`));
  };
  diagnostics.subscribe("child_process", onProcess);
  onTestFinished(() => {
    diagnostics.unsubscribe("child_process", onProcess);
  });
  const { compile } = WebAssembly;
  const compiling = vi.spyOn(WebAssembly, "compile").mockImplementation((bytes) => {
    trace.note("C->>C: compiles it");
    return compile(bytes);
  });
  onTestFinished(() => compiling.mockRestore());
  trace.note("U->>C: loads an engine");
  /** A custom section makes another file of it, and changes nothing else. */
  const other = Buffer.concat([readFileSync(builtModulePath("engine")), Uint8Array.of(0, 2, 1, 0x78)]);
  await registry.load(other, { source: "test", isRemembered: false });
  trace.note("C-->>U: is in force");

  trace.send(frameTo(ROUND_ROBIN.b.v4, 1001));
  await trace.until("W->>N", 2);
  const participants = {
    ...{ U: "who loads it", C: "control plane", T: "trial process", S: "supervisor" },
    ...{ A: "workload A", W: "worker", M: "shared memory", N: "node-b" },
  };
  expectDiagram("docs/modules.md", "swap", participants, trace.lines());
});
