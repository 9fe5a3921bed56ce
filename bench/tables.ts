// How the tables scale: a service look-up among few and very many services in random order, and what one generation
// with 10,000 changed services costs while 100,000 are in force. Beside them the same with Maps.

import { createSharedMemory, type SharedMemory } from "../src/memory/shared-memory.ts";
import { TableWriter } from "../src/memory/table-writer.ts";
import type { Service, Tables } from "../src/model/tables.ts";
import { parsePrefix } from "../src/net/address.ts";
import * as Bulk from "../src/net/bulk-address.ts";
import { TwinTables } from "../test/support/reference/tables.ts";
import { loadWorkbench } from "../test/support/workbench.ts";
import { instance, NODE, PEER, RANGES } from "./bench-node.ts";
import type { Case } from "./harness.ts";

const SERVICE_COUNTS = [
  { name: "10", count: 10 },
  { name: "10 k", count: 10_000 },
  { name: "100 k", count: 100_000 },
] as const;
const CHANGED = 10_000;
const LOOK_UPS = 16_384; // per call; each key once in the largest world, as far as they go
const NODE_B = { id: "node-b", underlay: PEER };

export async function tableCases(): Promise<readonly Case[]> {
  const cases: Case[] = [];
  for (const { name, count } of SERVICE_COUNTS) {
    const services = Array.from({ length: count }, (_, i) => serviceOf(i, 1));
    const shared = createSharedMemory({
      capacities: { flows: 64, addresses: 2 * count, instances: count, workloads: 64, nodes: 8, workers: 1 },
      ranges: RANGES.map(parsePrefix),
      hashSeed: 1,
    });
    const writer = new TableWriter(shared, { nodeId: NODE, policySlot: () => 0 });
    await writer.apply({ setNodes: [{ ...NODE_B, distanceKm: Number.NaN }], setServices: services });
    await writer.settled();
    cases.push(await lookUpCase(`service look-up among ${name}`, services, shared));
    if (count > CHANGED) cases.push(publishCase(services, writer));
  }
  return cases;
}

async function lookUpCase(name: string, services: readonly Service[], shared: SharedMemory): Promise<Case> {
  const { exports, scratchAt } = await loadWorkbench(shared);
  const texts = Array.from({ length: LOOK_UPS }, (_, i) => addressOf((i * 40_503 + 7) % services.length));
  texts.forEach((text, i) => {
    Bulk.readAddress(text, shared.bytes, scratchAt + 16 * i);
  });
  const twin = new Map(services.map((service) => [service.addresses[0]?.address ?? "", service]));
  const expectAll = (found: number): void => {
    if (found !== LOOK_UPS) throw new Error(`${name}: expected ${LOOK_UPS} services, found ${found}`);
  };
  return {
    name,
    unit: "ns",
    fast: { amount: LOOK_UPS, run: () => expectAll(exports.findServices(scratchAt, LOOK_UPS)) },
    twin: {
      amount: LOOK_UPS,
      run: () => {
        let found = 0;
        for (const text of texts) if (twin.has(text)) found++;
        expectAll(found);
      },
    },
  };
}

/** Two versions of the same services take turns. The twin builds its Maps anew, with what did not change. */
function publishCase(services: readonly Service[], writer: TableWriter): Case {
  const versions = [2, 1].map((weight) => Array.from({ length: CHANGED }, (_, i) => serviceOf(i, weight)));
  const unchanged = services.slice(CHANGED);
  const whole = versions.map((version): Tables => ({ nodes: [NODE_B], services: [...version, ...unchanged] }));
  const twin = new TwinTables(NODE, RANGES);
  let turn = 0;
  return {
    name: `table publish, ${CHANGED} of ${services.length} services changed, per changed one`,
    unit: "ns",
    fast: {
      amount: CHANGED,
      run: () => writer.apply({ setServices: versions[turn++ & 1] ?? [] }),
      settle: () => writer.settled(),
    },
    twin: { amount: CHANGED, run: () => twin.apply(whole[turn++ & 1] as Tables) },
  };
}

function serviceOf(index: number, weight: number): Service {
  return {
    name: `service-${index}`,
    addresses: [{ address: addressOf(index), policy: "round-robin" }],
    instances: [{ ...instance("node-b", [address("fc00:1:", index)], [address("fdff:1:", index)]), weight }],
  };
}

function addressOf(index: number): string {
  return address("fdff:2000:", index);
}

/** In canonical form, of a number from 0 to 2^20 - 1. */
function address(prefix: string, index: number): string {
  return `${prefix}:1:${(index >>> 16).toString(16)}:${(index & 0xffff).toString(16)}`;
}
