// A node without devices, for trials of engines: tables and a memory of its own.

import { createSharedMemory, type MemoryOptions, type SharedMemory } from "../../memory/shared-memory.ts";
import type { TableChange } from "../../memory/table-change.ts";
import { TableWriter } from "../../memory/table-writer.ts";
import { parsePrefix } from "../../net/address.ts";
import { PlayedNode, type TestPeer } from "./played-node.ts";

export interface TestWorld {
  readonly nodeId: string;
  readonly nodes: readonly TestPeer[];
  readonly services: NonNullable<TableChange["setServices"]>;
  readonly ranges: readonly string[];
  readonly memory?: MemoryOptions;
}

const CAPACITIES = { flows: 64, addresses: 16, instances: 16, workloads: 16, nodes: 4, workers: 1 };

export class TestNode extends PlayedNode {
  readonly tables: TableWriter;

  private constructor(shared: SharedMemory, tables: TableWriter) {
    super(shared);
    this.tables = tables;
  }

  static async create({ nodeId, nodes, services, ranges, memory }: TestWorld): Promise<TestNode> {
    const shared = createSharedMemory({ capacities: CAPACITIES, ranges: ranges.map(parsePrefix), ...memory });
    const tables = new TableWriter(shared, { nodeId, policySlot: () => 0 });
    await tables.apply({
      setNodes: nodes.map(({ id, ...underlay }) => ({ id, underlay, distanceKm: Number.NaN })),
      setServices: services,
    });
    return new TestNode(shared, tables);
  }
}
