// Two workers forward known flows, each its own: neither writes a cache line that the other one looks at. What they
// share would move from processor to processor with each packet.
import { expect, test } from "vitest";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import type { EngineExports } from "../../src/dataplane/modules/engine-contract.ts";
import { EngineFixture } from "../support/engine-fixture.ts";
import { EngineMemory } from "../support/engine-memory.ts";
import { instantiateInstrumented, loadInstrumentedEngine } from "../support/instrumented-engine.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { A1, B1, FROM, RANGES, ROUND_ROBIN, THIS_NODE, world } from "../support/world.ts";

const LINE_SIZE = 64;
const WORKERS = 2;
const FLOWS = 40;

/** The lines that a worker loaded and stored. */
class Lines {
  readonly loaded = new Set<number>();
  readonly stored = new Set<number>();

  note(address: number, bytes: number, isStore: boolean): void {
    const lines = isStore ? this.stored : this.loaded;
    for (const at of [address, address + bytes - 1]) lines.add(Math.floor(at / LINE_SIZE));
  }
}

test("of known flows two workers share no cache line that one of them writes", async () => {
  const { shared, nowUs } = await EngineFixture.create({
    nodeId: THIS_NODE,
    ranges: RANGES,
    tables: world(),
    withoutTwin: true,
    memory: {
      capacities: { flows: 4096, addresses: 64, instances: 64, workloads: 64, nodes: 16, workers: WORKERS },
      offloads: 7,
    },
  });
  const module = await loadInstrumentedEngine();
  const workers = Array.from({ length: WORKERS }, (_, worker) => {
    const lines = { current: new Lines() };
    const engine = instantiateInstrumented(
      module,
      shared.memory,
      () => 0,
      (...access) => lines.current.note(...access),
    );
    engine.attach(worker, 0n);
    return {
      engine,
      lines,
      io: new EngineMemory(shared.memory, shared.at(Region.workers) + worker * WorkerLayout.SIZE),
    };
  });
  for (const [worker, { engine, io }] of workers.entries()) forward(engine, io, worker, nowUs);
  const [one, other] = workers.map(({ engine, io, lines }, worker) => {
    lines.current = new Lines();
    const before = io.snapshot();
    forward(engine, io, worker, nowUs + 1000);
    expect(io.countsSince(before)).toMatchObject({ egressPackets: FLOWS * 3, ingressPackets: FLOWS });
    return lines.current;
  }) as [Lines, Lines];
  const shares = [...one.stored].filter((line) => other.loaded.has(line) || other.stored.has(line));
  shares.push(...[...other.stored].filter((line) => one.loaded.has(line)));
  expect(shares.map((line) => placeOf(line * LINE_SIZE))).toEqual([]);

  function placeOf(at: number): string {
    if (at < HeaderLayout.AT + HeaderLayout.SIZE) return `header ${at - HeaderLayout.AT}`;
    const regions = Array.from({ length: Region.count }, (_, region) => region).filter(
      (region) => shared.at(region) <= at,
    );
    const region = regions.sort((a, b) => shared.at(b) - shared.at(a))[0] as Region;
    return `${Region[region]} ${at - shared.at(region)}`;
  }
});

/** Of each of the worker's flows: a packet and a super-packet of two there, and a packet back. */
function forward(engine: EngineExports, io: EngineMemory, worker: number, nowUs: number): void {
  for (let flow = 0; flow < FLOWS; flow++) {
    const port = 1000 + worker * FLOWS + flow;
    const there = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: port, dport: 80, flags: FLAG.ACK });
    io.putFrame(0, there.payload(10).offloadFrame());
    io.putFrame(1, there.payload(2000).offloadFrame({ gsoType: Virtio.GSO_TCPV4, gsoSize: 1400 }));
    engine.egress(0, 2, nowUs);
    const back = packet().ip(B1.instanceV4, A1.v4).tcp({ sport: 80, dport: port, flags: FLAG.ACK }).payload(10);
    io.putMessage(0, { ...FROM.b, bytes: back.bytes() });
    engine.ingress(0, 1, nowUs);
  }
}
