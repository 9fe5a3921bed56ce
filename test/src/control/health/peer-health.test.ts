// What a node believes of the others about the health of their instances, and how it heals when something is lost.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Region } from "../../../../assembly/shared/layout/header.ts";
import * as HealthPageLayout from "../../../../assembly/shared/layout/health-page.ts";
import * as NodeLayout from "../../../../assembly/shared/layout/node.ts";
import * as NodeMetricsLayout from "../../../../assembly/shared/layout/node-metrics.ts";
import * as WorkerLayout from "../../../../assembly/shared/layout/worker.ts";
import type { CheckedInstance } from "../../../../src/control/health/health-book.ts";
import { encodePages, healthKey } from "../../../../src/control/health/health-page.ts";
import { PeerHealth } from "../../../../src/control/health/peer-health.ts";
import { createSharedMemory, type SharedMemory } from "../../../../src/memory/shared-memory.ts";
import { given } from "../../../support/given.ts";

const NODES = ["node-a", "node-b", "node-c"]; // by index

let shared: SharedMemory;
let peers: PeerHealth;
let words: string[];

beforeEach(() => {
  shared = createSharedMemory({
    capacities: { flows: 10, addresses: 8, instances: 8, workloads: 8, nodes: 4, workers: 2 },
  });
  words = [];
  peers = new PeerHealth({
    shared,
    nodeIndex: (id) => NODES.indexOf(id),
    onWord: ({ instance: { number } }, state) => words.push(`${number} ${state}`),
  });
});
afterEach(() => peers.close());

function checked(number: number, node = "node-b"): CheckedInstance {
  const settings = { tcp: 80, interval: 1000, timeout: 500, healthy: 1, unhealthy: 1 };
  const addresses = { namespaceAddresses: [`10.18.0.${number}`], instanceAddresses: [`10.30.0.${number}`] };
  const instance = { number, node, ...addresses, weight: 1, draining: false };
  return {
    service: "web",
    instance,
    settings,
    isLocal: false,
    index: number,
    state: "unknown",
    sinceMs: 0,
    reason: undefined,
  };
}

function keys(...numbers: readonly number[]): string[] {
  return numbers.map((number) => given(healthKey(checked(number).instance)));
}

/** The last answer of a node says so. */
function told(node: number, revision: number): void {
  const at = shared.at(Region.nodeMetrics) + node * NodeMetricsLayout.SIZE + NodeMetricsLayout.TOLD_REVISION;
  shared.u32[at >>> 2] = revision;
}

/** The page that a node is asked for. */
function wanted(node: number): number | undefined {
  const at = shared.at(Region.nodes) + node * NodeLayout.SIZE + NodeLayout.WANTED_PAGE;
  const word = shared.u32[at >>> 2] ?? 0;
  return word === 0 ? undefined : word - 1;
}

/** A worker keeps a page that came. */
function came(node: number, revision: number, page: Uint8Array, worker = 0): void {
  const workerAt = shared.at(Region.workers) + worker * WorkerLayout.SIZE;
  const countAt = (workerAt + WorkerLayout.PAGES_RECEIVED) >>> 2;
  const turn = (shared.u32[countAt] ?? 0) + 1;
  const slot = (turn - 1) % HealthPageLayout.RECEIVED_MAX;
  const at = workerAt + WorkerLayout.RECEIVED_PAGES + slot * HealthPageLayout.RECEIVED_SIZE;
  shared.u32[(at + HealthPageLayout.RECEIVED_NODE) >>> 2] = node;
  shared.u32[(at + HealthPageLayout.RECEIVED_REVISION) >>> 2] = revision;
  shared.bytes.set(page, at + HealthPageLayout.RECEIVED_PAGE);
  shared.u32[(at + HealthPageLayout.RECEIVED_TURN) >>> 2] = turn;
  shared.u32[countAt] = turn;
}

/** As told() and came(), for all pages in turn as they are asked for. */
function hear(node: number, revision: number, unhealthy: readonly string[]): void {
  told(node, revision);
  peers.look();
  for (const page of encodePages(unhealthy, 100)) {
    came(node, revision, page);
    peers.look();
  }
}

test("a node that tells nothing is not asked, and nothing is said of its instances", () => {
  peers.add(checked(1));
  peers.look();
  expect(wanted(1)).toBeUndefined();
  expect(words).toEqual([]);
});

test("a node is asked when what it tells has changed, and not again", () => {
  peers.add(checked(1));
  peers.add(checked(2));
  told(1, 7);
  peers.look();
  expect(wanted(1)).toBe(0);
  came(1, 7, given(encodePages(keys(2), 9)[0]));
  peers.look();
  expect(words).toEqual(["1 healthy", "2 unhealthy"]);
  expect(wanted(1)).toBeUndefined();
  words.length = 0;
  told(1, 8);
  peers.look();
  expect(wanted(1)).toBe(0);
});

test("a page that is lost is asked for until it comes", () => {
  peers.add(checked(1));
  told(1, 7);
  for (let i = 0; i < 5; i++) peers.look();
  expect(wanted(1)).toBe(0);
  hear(1, 7, keys(1));
  expect(words).toEqual(["1 unhealthy"]);
});

test("many pages are asked for one after the other; what changes on the way is heard in another round", () => {
  const numbers = Array.from({ length: 60 }, (_, i) => i + 1);
  for (const number of numbers) peers.add(checked(number));
  told(1, 7);
  peers.look();
  const pages = encodePages(keys(...numbers), 9);
  came(1, 7, given(pages[0]));
  peers.look();
  expect(wanted(1)).toBe(1);
  expect(words.filter((word) => word.endsWith(" unhealthy"))).toHaveLength(27);
  told(1, 8);
  came(1, 8, given(pages[1]), 1);
  peers.look();
  expect(wanted(1)).toBe(2);
  came(1, 8, given(pages[2]));
  peers.look();
  expect(wanted(1)).toBe(0); // from the first one
  hear(1, 8, keys(...numbers));
  expect(wanted(1)).toBeUndefined();
});

test("a node that tells no more leaves its instances unknown", () => {
  peers.add(checked(1));
  hear(1, 7, keys(1));
  told(1, 0);
  peers.look();
  expect(words).toEqual(["1 unhealthy", "1 unknown"]);
  peers.look();
  expect(words).toHaveLength(2);
});

test("an instance that comes later is heard of as well", () => {
  peers.add(checked(1));
  hear(1, 7, keys(1, 2));
  peers.add(checked(2));
  peers.look();
  expect(wanted(1)).toBe(0);
  hear(1, 7, keys(1, 2));
  expect(words.at(-1)).toBe("2 unhealthy");
});

describe("a node that lies", () => {
  beforeEach(() => {
    peers.add(checked(1, "node-b"));
    peers.add(checked(2, "node-c"));
    hear(2, 5, []);
    words.length = 0;
  });

  test("is believed about its own instances alone", () => {
    hear(1, 7, keys(1, 2, 3));
    expect(words).toEqual(["1 unhealthy"]);
  });

  test("about how many pages there are keeps itself busy and nobody else", () => {
    const endless = Buffer.from(given(encodePages([], 9)[0]));
    endless.writeUInt16LE(65_535, HealthPageLayout.COUNT);
    told(1, 7);
    peers.look();
    for (let page = 0; page < 1000; page++) {
      endless.writeUInt16LE(page, HealthPageLayout.NUMBER);
      came(1, 7, endless);
      peers.look();
    }
    hear(2, 6, keys(2));
    expect(words.filter((word) => word.startsWith("2 "))).toEqual(["2 unhealthy"]);
  });

  test("with what is no page is not heard", () => {
    told(1, 7);
    peers.look();
    came(1, 7, new Uint8Array(HealthPageLayout.SIZE).fill(0xff));
    peers.look();
    expect(words).toEqual([]);
  });

  test("and had the index before is not taken for the node that has it now", () => {
    told(1, 7);
    peers.look();
    came(1, 99, given(encodePages(keys(1), 9)[0]));
    peers.look();
    expect(words).toEqual([]);
  });
});

test("what is more than the workers keep is asked for again", () => {
  peers.add(checked(1));
  told(1, 7);
  peers.look();
  for (let i = 0; i < HealthPageLayout.RECEIVED_MAX; i++) came(3, 1, new Uint8Array(HealthPageLayout.SIZE));
  came(1, 7, given(encodePages(keys(1), 9)[0]));
  for (let i = 0; i < HealthPageLayout.RECEIVED_MAX; i++) came(3, 1, new Uint8Array(HealthPageLayout.SIZE));
  peers.look();
  expect(words).toEqual([]);
  expect(wanted(1)).toBe(0);
});
