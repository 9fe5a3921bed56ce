// A long file that is read again while its tables are in force: what did not change is not read, and what is wrong is
// told with its line all the same.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, expect, test } from "vitest";
import { SHORT_TEXT } from "../../../src/control/config/text-reader.ts";
import { TableStore } from "../../../src/control/tables/table-store.ts";
import { createSharedMemory } from "../../../src/memory/shared-memory.ts";
import { TableWriter } from "../../../src/memory/table-writer.ts";
import { parsePrefix } from "../../../src/net/address.ts";
import { openConfig } from "../../../src/node/open-config.ts";

const folder = mkdtempSync(join(tmpdir(), "sapwood-open-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

const COUNT = 250;

function service(index: number, address = index): object {
  return {
    name: `service-${index}`,
    addresses: [{ address: `fdff:2000::${(address + 1).toString(16)}`, policy: "closest" }],
    instances: [
      { number: 1, node: "node-b", namespace: [`fc00::${index + 1}`], addresses: [`fdff::${index + 1}`], weight: 2 },
    ],
  };
}

test("only what changed in a long file is read again, and a mistake has its line", async () => {
  const configFile = join(folder, "node.json");
  const write = (services: readonly object[]): void => {
    const nodes = [{ id: "node-b", underlay: { address: "192.0.2.2" } }];
    const node = { id: "node-a", underlay: { address: "192.0.2.1" } };
    writeFileSync(configFile, JSON.stringify({ node, nodes, services }, undefined, 1));
  };
  const services = Array.from({ length: COUNT }, (_, i) => service(i));
  write(services);
  const socket = join(folder, "control.sock");
  const log = pino({ level: "silent" });
  const { started, watcher, inForce, config } = await openConfig({
    configFile,
    socket,
    version: "1",
    log,
    isLevelFixed: true,
  });
  const shared = createSharedMemory({ capacities: { addresses: 1024, instances: 512 } });
  const rules = { nodeId: "node-a", ranges: config.ranges ?? [parsePrefix("fdff::/16")] };
  const store = new TableStore(new TableWriter(shared, { nodeId: "node-a", policySlot: () => 0 }), rules);
  await store.apply(started.tables);
  inForce.tables = () => store.snapshot();
  inForce.sizes = () => store.sizes;
  inForce.check = (tables) => store.check(tables);

  const before = store.snapshot().services;
  write([...services.slice(1), { ...service(0), addresses: [] }]);
  const { tables } = await watcher.load();
  expect(tables.services).toHaveLength(COUNT);
  expect(tables.services.slice(0, -1).every((one, i) => one === before[i + 1])).toBe(true);
  expect({ ...tables.services.at(-1) }).toMatchObject({ name: "service-0", addresses: [] });
  expect(await store.apply(tables)).toMatchObject({ changes: { servicesSet: 1, servicesRemoved: 0 } });

  // The address of a service that is not read.
  write([...services.slice(1), service(0, 7)]);
  await expect(watcher.load()).rejects.toMatchObject({
    code: "config-invalid",
    message: expect.stringMatching(
      /node\.json:\d+:\d+: services\[249\].*in use \(service-7 has it\), found fdff:2000::8/,
    ),
  });
  write([...services.slice(1), service(5)]);
  await expect(watcher.load()).rejects.toMatchObject({
    message: expect.stringMatching(/node\.json:\d+:\d+: services/),
  });
  expect(JSON.stringify(services).length).toBeGreaterThan(SHORT_TEXT);
});
