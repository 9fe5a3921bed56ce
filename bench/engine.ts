// What one packet costs in the engine, beside the slow twin that its tests hold it against: parse, a known flow, a new
// flow with a policy's choice, an answer from the tunnel, and the checksum by itself.
//
// One call of the engine handles a whole batch, as in a worker. The engine translates in place, so each batch is first
// copied to where the device would leave it; that is part of the figure (some 5 ns a packet). The twin copies anyway.
import * as WorkerLayout from "../assembly/shared/layout/worker.ts";
import * as Virtio from "../assembly/shared/virtio.ts";
import { packet, udpPacket } from "../test/support/packet-builder.ts";
import { sumWords } from "../test/support/reference/checksum.ts";
import { parse } from "../test/support/reference/parser.ts";
import { ReferenceTranslator } from "../test/support/reference/translator.ts";
import { loadWorkbench, type Workbench } from "../test/support/workbench.ts";
import { BenchNode, NODE, NOW_US, PEER, RANGES, TABLES } from "./bench-node.ts";
import type { Case } from "./harness.ts";

export const FAMILIES = [
  {
    name: "IPv4",
    version: 4,
    client: "10.18.0.2",
    called: "10.30.0.1",
    answering: "10.30.1.2",
    header: 20,
    payload: 24,
  },
  {
    name: "IPv6",
    version: 6,
    client: "fc00::18:2",
    called: "fdff:2000::1",
    answering: "fdff::102",
    header: 40,
    payload: 4,
  },
] as const;
/** Flows that take turns. */
export const KNOWN_FLOWS = 16 * WorkerLayout.BATCH_SIZE;
/** New flows of one call. */
const NEW_FLOWS = 64 * WorkerLayout.BATCH_SIZE;
const PARSES = 1000;
const FIRST_PORT = 1024;
const NOW_MS = NOW_US / 1000;
/** Distance of the frames that wait to be copied. */
const STRIDE = 128;

export type Family = (typeof FAMILIES)[number];

export async function engineCases(): Promise<readonly Case[]> {
  const workbench = await loadWorkbench();
  return [
    ...FAMILIES.map((family) => parseCase(workbench, family)),
    ...(await Promise.all(FAMILIES.map(hitCase))),
    ...(await Promise.all(FAMILIES.map(missCase))),
    ...(await Promise.all(FAMILIES.map(ingressCase))),
    ...[64, 1400, 65_536].map((sizeBytes) => checksumCase(workbench, sizeBytes)),
  ];
}

function parseCase(workbench: Workbench, family: Family): Case {
  const bytes = request(family, FIRST_PORT).subarray(Virtio.SIZE);
  workbench.shared.bytes.set(bytes, workbench.scratchAt + STRIDE * family.version);
  return {
    name: `parse, ${family.name}`,
    unit: "ns",
    fast: {
      amount: PARSES,
      run: () => {
        workbench.exports.parseRepeated(workbench.scratchAt + STRIDE * family.version, bytes.length, PARSES);
      },
    },
    twin: {
      amount: PARSES,
      run: () => {
        for (let i = 0; i < PARSES; i++) parse(bytes);
      },
    },
  };
}

async function hitCase(family: Family): Promise<Case> {
  const node = await BenchNode.create();
  const frames = Array.from({ length: KNOWN_FLOWS }, (_, i) => datagram(family, FIRST_PORT + i));
  const twin = twinTranslator();
  return {
    name: `egress, known flow, ${family.name}`,
    unit: "ns",
    fast: { amount: KNOWN_FLOWS, run: knownFlows(node, family) },
    twin: { amount: KNOWN_FLOWS, run: () => twinEgress(twin, frames) },
  };
}

/** Packets of KNOWN_FLOWS flows, one each. */
export function knownFlows(node: BenchNode, family: Family): () => void {
  return node.egressFlows(datagram(family, FIRST_PORT), Virtio.SIZE + family.header, FIRST_PORT, KNOWN_FLOWS);
}

/** Answers to BATCH_SIZE flows, one each. */
export function answeredFlows(node: BenchNode, family: Family): () => void {
  node.egress(requests(family, WorkerLayout.BATCH_SIZE))();
  return node.ingress(answersOf(family));
}

async function missCase(family: Family): Promise<Case> {
  const node = await BenchNode.create();
  const frames = requests(family, NEW_FLOWS);
  const egress = node.egress(frames);
  const twin = twinTranslator();
  return {
    name: `egress, new flow with choice, ${family.name}`,
    unit: "ns",
    fast: {
      amount: NEW_FLOWS,
      run: () => {
        node.forgetFlows();
        egress();
      },
    },
    twin: {
      amount: NEW_FLOWS,
      run: () => {
        twin.forgetFlows();
        twinEgress(twin, frames);
      },
    },
  };
}

async function ingressCase(family: Family): Promise<Case> {
  const node = await BenchNode.create();
  const answers = answersOf(family);
  const twin = twinTranslator();
  twinEgress(twin, requests(family, WorkerLayout.BATCH_SIZE));
  return {
    name: `ingress, answer, ${family.name}`,
    unit: "ns",
    fast: { amount: WorkerLayout.BATCH_SIZE, run: answeredFlows(node, family) },
    twin: {
      amount: WorkerLayout.BATCH_SIZE,
      run: () => {
        for (const bytes of answers) twin.ingress({ ...PEER, bytes }, NOW_MS);
        twin.take();
      },
    },
  };
}

function checksumCase(workbench: Workbench, sizeBytes: number): Case {
  const bytes = Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 31) & 0xff);
  const at = workbench.scratchAt + 2 ** 20;
  workbench.shared.bytes.set(bytes, at);
  const times = Math.ceil(1_000_000 / sizeBytes);
  return {
    name: `checksum, ${sizeBytes} B`,
    unit: "GB/s",
    fast: { amount: times * sizeBytes, run: () => void workbench.exports.checksumRepeated(at, sizeBytes, times) },
    twin: {
      amount: times * sizeBytes,
      run: () => {
        for (let i = 0; i < times; i++) sumWords(bytes);
      },
    },
  };
}

/** 64-byte packets, each of another flow of the one client, as frames. */
function requests(family: Family, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => request(family, FIRST_PORT + i));
}

function request({ client, called, payload }: Family, sport: number): Uint8Array {
  return packet().ip(client, called).tcp({ sport, dport: 80 }).payload(payload).frame();
}

/** The same size as a datagram, whose header is 12 bytes shorter. */
function datagram({ client, called, payload }: Family, sport: number): Uint8Array {
  return udpPacket(client, called, sport, 80, payload + 12).frame();
}

function answersOf(family: Family): Uint8Array[] {
  return Array.from({ length: WorkerLayout.BATCH_SIZE }, (_, i) => answer(family, FIRST_PORT + i));
}

function answer({ answering, client, payload }: Family, dport: number): Uint8Array {
  return packet().ip(answering, client).tcp({ sport: 80, dport }).payload(payload).bytes();
}

function twinTranslator(): ReferenceTranslator {
  const choice = { index: 0, flowHash: 0, clientHash: 0, candidates: [0], draining: [false] };
  const twin = new ReferenceTranslator(
    { nodeId: NODE, ranges: RANGES, timeoutsMs: {} },
    { nextChoice: () => choice, identification: () => undefined },
  );
  twin.apply(TABLES);
  return twin;
}

function twinEgress(twin: ReferenceTranslator, frames: readonly Uint8Array[]): void {
  for (const frame of frames) twin.egress(frame, NOW_MS);
  twin.take();
}
