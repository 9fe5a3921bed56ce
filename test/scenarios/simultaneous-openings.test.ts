// Two workers get packets of a connection that neither knows, the second while the first is at any point of opening its
// flow. One worker's call is broken off in front of each of its accesses to memory in turn, as if it were slow, and the
// other gets the packet again (a SYN-ACK that was repeated): it must leave as the first one would.
import { expect, test } from "vitest";
import { Region } from "../../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { FlowTableRepair } from "../../src/memory/flow-repair.ts";
import { EngineFixture } from "../support/engine-fixture.ts";
import { EngineMemory } from "../support/engine-memory.ts";
import { interruptibleEngine } from "../support/interruptible-engine.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { expectPacket, from } from "../support/packet-checks.ts";
import { inspectFlowTable } from "../support/reference/flow-table.ts";
import { A1, B1, RANGES, ROUND_ROBIN, THIS_NODE, world } from "../support/world.ts";

const SLOW = 0;
const OTHER = 1;
/** More than an opening has accesses. */
const OPENINGS = 1024;

test.each([
  ["an answer to a client", A1.v4, B1.instanceV4, 80, FLAG.SYN | FLAG.ACK, A1.instanceV4],
  ["a client's call", A1.v4, ROUND_ROBIN.b.v4, 2000, FLAG.SYN, A1.instanceV4],
])("%s leaves from its own port, however far another worker is with it", async (_what, src, dst, port, flags, wire) => {
  const { shared, nowUs } = await EngineFixture.create({
    ...{ nodeId: THIS_NODE, ranges: RANGES, tables: world(), withoutTwin: true },
    memory: { capacities: { flows: OPENINGS, addresses: 64, instances: 64, workloads: 64, nodes: 16, workers: 2 } },
  });
  const areaOf = (worker: number): number => shared.at(Region.workers) + worker * WorkerLayout.SIZE;
  const repair = new FlowTableRepair(shared.memory);
  const engine = await interruptibleEngine(shared.memory, () => 0);
  const other = engine.start(OTHER);
  const [slowIo, otherIo] = [SLOW, OTHER].map((worker) => new EngineMemory(shared.memory, areaOf(worker)));
  let isOver = false;
  let halfOpen = 0;
  let accesses = 0;
  for (; !isOver; accesses++) {
    const peerPort = 10_000 + accesses;
    const ports = port === 80 ? { sport: 80, dport: peerPort } : { sport: peerPort, dport: 80 };
    const frame = packet()
      .ip(src, dst)
      .tcp({ ...ports, flags })
      .frame();
    slowIo?.putFrame(0, frame);
    otherIo?.putFrame(0, frame);
    const slow = engine.start(SLOW);
    isOver = !engine.breaksOff(accesses, () => void slow.egress(0, 1, nowUs));
    repair.releaseLock(SLOW); // the other would wait for it
    if (accesses % 8 === 0 && inspectFlowTable(shared).broken.length > 0) halfOpen += 1;
    const before = otherIo?.snapshot() as BigUint64Array;
    other.egress(0, 1, nowUs);
    expect(otherIo?.countsSince(before), `after ${accesses} accesses`).not.toHaveProperty("portsRewritten");
    const [sent] = otherIo?.sentMessages() ?? [];
    expectPacket(sent?.datagrams[0], from(wire, ports.sport));
    const sequence = (areaOf(SLOW) + WorkerLayout.SEQUENCE) >>> 2;
    if (((shared.u32[sequence] ?? 0) & 1) === 1) Atomics.add(shared.i32, sequence, 1);
    repair.repair([SLOW]);
  }
  expect(OPENINGS).toBeGreaterThan(accesses);
  expect(halfOpen, "looked at each eighth time").toBeGreaterThan(2);
});
