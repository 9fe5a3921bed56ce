// Entry of the thread in which a capture is replayed: makes a node for each side, reads the file, answers, and ends.

import { closeSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { SapwoodError } from "../../base/errors.ts";
import { nameList, shortText } from "../../base/issues.ts";
import { printableLine } from "../../base/printable.ts";
import { ReplayedNode } from "../../dataplane/worker/replayed-node.ts";
import { readNodeMetrics } from "../../memory/measurements.ts";
import { createSharedMemory, type SharedMemory } from "../../memory/shared-memory.ts";
import { TableWriter } from "../../memory/table-writer.ts";
import type { Node } from "../../model/tables.ts";
import { tunnelAddressOf } from "../../net/wireguard-key.ts";
import { openRegularFile, whyUnreadable } from "../../sys/user-file.ts";
import { CaptureNames } from "../observe/capture-names.ts";
import { LINKTYPE_RAW } from "../observe/pcapng-format.ts";
import { TableStore, type TableStoreOptions } from "../tables/table-store.ts";
import { type PcapngPacket, PcapngReader } from "./pcapng-reader.ts";
import { interfaceOf, type PlayedSide, Replay, type ReplayOptions } from "./replay.ts";
import {
  PROGRESS_PACKET,
  PROGRESS_SEQUENCE,
  type ReplayedNodePlan,
  type ReplayFindings,
  type ReplayMessage,
  type ReplaySide,
  type ReplayThreadOptions,
} from "./replay-contract.ts";
import { TimeOrder } from "./time-order.ts";

const PIECE_BYTES = 2 ** 20;
/** Of the virtual clock: not 0, which stands for "never" in several records. */
const START_US = 1_000_000_000;

async function replayFile({ file, node, sides, progress }: ReplayThreadOptions): Promise<ReplayFindings> {
  const words = new Int32Array(progress);
  const watch: ReplayOptions["watch"] = {
    enter: (packet) => {
      Atomics.store(words, PROGRESS_PACKET, packet);
      Atomics.add(words, PROGRESS_SEQUENCE, 1);
    },
    leave: () => Atomics.add(words, PROGRESS_SEQUENCE, 1),
  };
  const stages = await Promise.all(sides.map(() => memoryOf(node)));
  watch.enter(0); // modules run when they are started
  const played = sides.map((side, i) => playedSide(node, side, stages[i] as TabledMemory));
  watch.leave();
  const { tables, tunMtu } = node;
  const services = tables.services.map((service) => service.name);
  const names = new CaptureNames(tables);
  const replay = new Replay({ sides: played, names, services, tunMtu, startUs: START_US, watch });
  const name = printableLine(file);
  const reader = new PcapngReader(name);
  const order = new TimeOrder<PcapngPacket>();
  for (const piece of piecesOf(file)) {
    for (const packet of reader.add(piece)) for (const next of order.add(packet)) replay.take(next);
  }
  reader.end();
  for (const next of order.rest()) replay.take(next);
  const found = reader.knownInterfaces;
  if (found.length > 0 && !found.some((one) => interfaceOf(one) !== undefined)) {
    const list = nameList(found.map(({ name, linkType }) => `"${shortText(name)}" of link type ${linkType}`));
    const expected = `the interfaces "tun" and "tunnel" of a capture by sapwood, of link type ${LINKTYPE_RAW}`;
    throw unreadable(name, `expected ${expected}, found ${list}`);
  }
  const report = replay.report();
  if (!replay.hasOtherTables) return report;
  const expected = services.length === 0 ? "which has none" : `which are ${nameList(services)}`;
  const recorded = nameList(report.recorded.unknownServices);
  throw unreadable(name, `expected packets of services of the configuration, ${expected}; found those of ${recorded}`);
}

interface TabledMemory {
  readonly shared: SharedMemory;
  readonly store: TableStore;
}

function playedSide(plan: ReplayedNodePlan, side: ReplaySide, { shared, store }: TabledMemory): PlayedSide {
  const node = new ReplayedNode({ shared, ...side }, START_US);
  const { tables, isEncrypted } = plan;
  const ids = new Map(
    tables.nodes.map((one) => {
      const { address, port } = isEncrypted ? ENCRYPTED.endpointOf(one) : one.underlay;
      return [`${address} ${port}`, one.id];
    }),
  );
  const nodeAt: PlayedSide["names"]["nodeAt"] = (address, port) => {
    const id = ids.get(`${address} ${port}`);
    const index = id === undefined ? undefined : store.nodeIndex(id);
    return { node: id ?? null, mtu: index === undefined ? null : readNodeMetrics(shared, index, 0).mtu };
  };
  const policyOf = (slot: number): string | null => side.policies.find((policy) => policy.slot === slot)?.name ?? null;
  return { node, names: { services: tables.services, policyOf, nodeAt } };
}

/** With the tables of the configuration. */
async function memoryOf(plan: ReplayedNodePlan): Promise<TabledMemory> {
  const { nodeId, ranges, location, isEncrypted, tables, policySlots } = plan;
  const shared = createSharedMemory(plan.memory);
  const rules: TableStoreOptions = { nodeId, ranges, location, underlay: isEncrypted ? ENCRYPTED : undefined };
  const policySlot = (name: string): number => policySlots[name] ?? 0;
  const store = new TableStore(new TableWriter(shared, { nodeId, policySlot }), rules);
  await store.apply(tables);
  return { shared, store };
}

/** Nodes are at the addresses that WireGuard gives them; whether it lets them in is not asked here. */
const ENCRYPTED: NonNullable<TableStoreOptions["underlay"]> = {
  endpointOf: ({ underlay, publicKey }: Node) =>
    underlay.encryption === "none" || publicKey === undefined
      ? underlay
      : { address: tunnelAddressOf(publicKey), port: underlay.port },
  requireOthers: () => undefined,
  admit: () => Promise.resolve(),
  settle: () => Promise.resolve(),
};

function* piecesOf(path: string): Generator<Buffer> {
  let file: number | undefined;
  try {
    file = openRegularFile(path);
    for (;;) {
      const piece = Buffer.alloc(PIECE_BYTES);
      const count = readSync(file, piece);
      if (count === 0) return;
      yield piece.subarray(0, count);
    }
  } catch (error) {
    throw unreadable(printableLine(path), `it cannot be read: ${whyUnreadable(error)}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function unreadable(name: string, reason: string): SapwoodError {
  return new SapwoodError("capture-unreadable", `${name}: ${reason}.`);
}

function answerOf(error: unknown): ReplayMessage {
  if (error instanceof SapwoodError) return { kind: "refused", code: error.code, message: error.message };
  return { kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

const port = parentPort;
if (port !== null) {
  void replayFile(workerData as ReplayThreadOptions)
    .then((findings): ReplayMessage => ({ kind: "done", findings }), answerOf)
    .then((message) => port.postMessage(message));
}
