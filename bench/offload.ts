// Segmentation and coalescing of full-size packets by the whole engine (parse, look-up, translation, checksums and
// iovecs included), beside the slow twins, and a plain copy of the same bytes: what a proxy that moves payload pays.
import * as HeaderLayout from "../assembly/shared/layout/header.ts";
import * as WorkerLayout from "../assembly/shared/layout/worker.ts";
import * as Virtio from "../assembly/shared/virtio.ts";
import { packet } from "../test/support/packet-builder.ts";
import { coalesce } from "../test/support/reference/coalescer.ts";
import { type ParsedPacket, parse } from "../test/support/reference/parser.ts";
import { segment } from "../test/support/reference/segmenter.ts";
import { BenchNode, NOW_US, PEER } from "./bench-node.ts";
import type { Case } from "./harness.ts";

const ALL = HeaderLayout.OFFLOAD_UDP_GSO | HeaderLayout.OFFLOAD_TUN_TCP | HeaderLayout.OFFLOAD_TUN_UDP;
/** What fits into one message of 64 KiB in either family; the tunnel's MTU leaves so much for payload. */
const SEGMENTS = 44;
const SEGMENT_SIZE = 1398;
const PORTS = { sport: 40_000, dport: 80 };
/** More than the caches of a core hold, as in a batch from the device. */
const FRAMES = 32;

interface Shape {
  readonly name: string;
  readonly isTcp: boolean;
  readonly client: string;
  readonly called: string;
  readonly answering: string;
  readonly gsoType: number;
}

const V4 = { client: "10.18.0.2", called: "10.30.0.1", answering: "10.30.1.2" };
const V6 = { client: "fc00::18:2", called: "fdff:2000::1", answering: "fdff::102" };
const SHAPES: readonly Shape[] = [
  { name: "TCP over IPv4", isTcp: true, ...V4, gsoType: Virtio.GSO_TCPV4 },
  { name: "TCP over IPv6", isTcp: true, ...V6, gsoType: Virtio.GSO_TCPV6 },
  { name: "UDP over IPv4", isTcp: false, ...V4, gsoType: Virtio.GSO_UDP_L4 },
  { name: "UDP over IPv6", isTcp: false, ...V6, gsoType: Virtio.GSO_UDP_L4 },
];

export async function offloadCases(): Promise<readonly Case[]> {
  return [
    ...(await Promise.all(SHAPES.map(segmentCase))),
    ...(await Promise.all(SHAPES.map(coalesceCase))),
    copyCase(await BenchNode.create()),
  ];
}

async function segmentCase(shape: Shape): Promise<Case> {
  const node = await BenchNode.create({ offloads: ALL });
  const ip = packet().ip(shape.client, shape.called);
  const built = (shape.isTcp ? ip.tcp(PORTS) : ip.udp(PORTS)).payload(SEGMENTS * SEGMENT_SIZE);
  const frame = built.offloadFrame({ gsoType: shape.gsoType, gsoSize: SEGMENT_SIZE });
  const bytes = frame.subarray(Virtio.SIZE);
  const parsed = parse(bytes) as ParsedPacket;
  const headers = frame.length - SEGMENTS * SEGMENT_SIZE;
  for (let slot = 0; slot < FRAMES; slot++) node.io.putFrame(slot, frame);
  const from = node.workerAt + WorkerLayout.UDP_SLOTS;
  node.shared.bytes.set(frame, from);
  const run = (): void => {
    // The engine changes the headers only.
    node.workbench.exports.copyEach(
      from,
      0,
      node.workerAt + WorkerLayout.TUN_SLOTS + WorkerLayout.SLOT_HEADROOM,
      WorkerLayout.SLOT_SIZE,
      headers,
      FRAMES,
    );
    for (let first = 0; first < FRAMES; ) first = node.engine.egress(first, FRAMES, NOW_US);
  };
  node.expectAll(run, "egressPackets", FRAMES * SEGMENTS);
  return {
    name: `segment, ${shape.name}`,
    unit: "GB/s",
    fast: { amount: FRAMES * SEGMENTS * SEGMENT_SIZE, run },
    twin: { amount: SEGMENTS * SEGMENT_SIZE, run: () => void segment(bytes, parsed, SEGMENT_SIZE) },
  };
}

async function coalesceCase(shape: Shape): Promise<Case> {
  const node = await BenchNode.create({ offloads: ALL });
  const ip = packet().ip(shape.client, shape.called);
  node.egress([(shape.isTcp ? ip.tcp(PORTS) : ip.udp(PORTS)).payload(1).frame()])();
  const packets = Array.from({ length: SEGMENTS }, (_, i) => answer(shape, i));
  const message = Buffer.concat(packets);
  const segmentSize = message.length / SEGMENTS;
  const headers = segmentSize - SEGMENT_SIZE;
  for (let slot = 0; slot < FRAMES; slot++) node.io.putMessage(slot, { ...PEER, bytes: message, segmentSize });
  const from = node.workerAt + WorkerLayout.TUN_SLOTS;
  const to = node.workerAt + WorkerLayout.UDP_SLOTS + WorkerLayout.SLOT_HEADROOM;
  node.shared.bytes.set(message, from);
  const run = (): void => {
    for (let slot = 0; slot < FRAMES; slot++) {
      node.workbench.exports.copyEach(
        from,
        segmentSize,
        to + slot * WorkerLayout.SLOT_SIZE,
        segmentSize,
        headers,
        SEGMENTS,
      );
    }
    for (let first = 0; first < FRAMES; ) first = node.engine.ingress(first, FRAMES, NOW_US);
  };
  node.expectAll(run, "ingressPackets", FRAMES * SEGMENTS);
  if (node.io.tunWrites().length > FRAMES) throw new Error(`${shape.name} was not joined`);
  return {
    name: `coalesce, ${shape.name}`,
    unit: "GB/s",
    fast: { amount: FRAMES * SEGMENTS * SEGMENT_SIZE, run },
    twin: { amount: SEGMENTS * SEGMENT_SIZE, run: () => void coalesce(packets) },
  };
}

function answer({ isTcp, answering, client }: Shape, index: number): Uint8Array {
  const ip = answering.includes(":")
    ? packet().ipv6({ src: answering, dst: client })
    : packet().ipv4({ src: answering, dst: client, id: index });
  const ports = { sport: PORTS.dport, dport: PORTS.sport };
  return (isTcp ? ip.tcp({ ...ports, seq: index * SEGMENT_SIZE }) : ip.udp(ports)).payload(SEGMENT_SIZE).bytes();
}

function copyCase(node: BenchNode): Case {
  const length = SEGMENTS * SEGMENT_SIZE;
  const from = node.workerAt + WorkerLayout.UDP_SLOTS + WorkerLayout.SLOT_HEADROOM;
  const to = node.workerAt + WorkerLayout.TUN_SLOTS + WorkerLayout.SLOT_HEADROOM;
  return {
    name: "plain copy of the same bytes",
    unit: "GB/s",
    fast: {
      amount: FRAMES * length,
      run: () =>
        node.workbench.exports.copyEach(
          from,
          WorkerLayout.SLOT_SIZE,
          to,
          WorkerLayout.SLOT_SIZE,
          length,
          Math.min(FRAMES, WorkerLayout.BATCH_SIZE),
        ),
    },
  };
}
