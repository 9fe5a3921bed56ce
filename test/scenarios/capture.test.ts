// What a worker captures: each packet as it came, with what happened to it, and each that was queued, as it is sent. The
// twin holds the engine to its rules meanwhile: it does the same whether it notes or not.
import { describe, expect, test } from "vitest";
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import { DropReason, Verdict } from "../../assembly/shared/verdicts.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import { type CaptureFilter, CapturePoint, SNAP_LENGTH_MAX } from "../../src/dataplane/capture/capture-contract.ts";
import * as CaptureRecord from "../../src/dataplane/capture/capture-record.ts";
import { createRing, RingReader } from "../../src/dataplane/capture/capture-ring.ts";
import { CaptureTap } from "../../src/dataplane/capture/capture-tap.ts";
import { CapturingEngine } from "../../src/dataplane/capture/capturing-engine.ts";
import { WorkerArea } from "../../src/dataplane/io/device.ts";
import { formatAddress } from "../../src/net/address.ts";
import { keyOfText } from "../../src/net/address-key.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { FLAG, packet, tcpPacket, virtioFrame } from "../support/packet-builder.ts";
import { sentPacket } from "../support/packets-of.ts";
import { A1, B1, C1, FROM, onNodeA, ROUND_ROBIN, UNKNOWN } from "../support/world.ts";

interface Captured {
  readonly captures: number;
  readonly point: string;
  readonly verdict: string;
  readonly reason: string;
  readonly target: string;
  readonly length: number;
  readonly bytes: Uint8Array;
}

const EVERYTHING: CaptureFilter = { bit: 0, snapLength: SNAP_LENGTH_MAX, isDroppedOnly: false };

/** Puts a capturing engine in the place of the fixture's; what it captured since it was asked last. */
function capture(fixture: EngineFixture, filters: readonly CaptureFilter[] = [EVERYTHING]): () => Captured[] {
  const area = new WorkerArea(fixture.shared.memory, 0);
  Object.defineProperty(area, "memoryBase", { value: 0n }); // as the fixture's
  const ring = createRing();
  const tap = new CaptureTap(area, ring, filters, () => 1);
  Object.defineProperty(fixture, "engine", { value: new CapturingEngine(fixture.engine, area, tap) });
  const reader = new RingReader(ring);
  return () => {
    const captured: Captured[] = [];
    reader.drain(Infinity, (record, bytes) => {
      const about = new Uint8Array(record.buffer, record.byteOffset, record.byteLength);
      captured.push({
        captures: record.getUint8(CaptureRecord.CAPTURES_AT),
        point: nameOf(CapturePoint, record.getUint8(CaptureRecord.POINT_AT)),
        verdict: Verdict[record.getUint8(CaptureRecord.VERDICT_AT)] ?? "",
        reason: DropReason[record.getUint8(CaptureRecord.REASON_AT)] ?? "",
        target: formatAddress(about, CaptureRecord.TARGET_AT),
        length: record.getUint32(CaptureRecord.LENGTH_AT, true),
        bytes: bytes.slice(0, record.getUint32(CaptureRecord.CAPTURED_AT, true)),
      });
    });
    return captured;
  };
}

function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? "";
}

const request = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 4000, dport: 80, flags: FLAG.SYN }).bytes();
const answer = packet().ip(B1.instanceV4, A1.v4).tcp({ sport: 80, dport: 4000, flags: FLAG.ACK }).payload(100).bytes();

describe("captured is", () => {
  test("a request as it came and as it is sent, with the instance that it goes to", async () => {
    const fixture = await onNodeA();
    const captured = capture(fixture);
    const { datagrams } = fixture.egress(virtioFrame(request, {}));
    const nobody = { captures: 1, reason: "none" };
    expect(captured()).toEqual([
      { ...nobody, point: "tunIn", verdict: "sent", target: B1.v4, length: request.length, bytes: request },
      {
        ...nobody,
        point: "tunnelOut",
        verdict: "sent",
        target: "::",
        length: request.length,
        bytes: sentPacket({ datagrams }),
      },
    ]);
  });

  test("an answer, with the instance that it is from, also where it no longer shows", async () => {
    const fixture = await onNodeA();
    fixture.egress(virtioFrame(request, {}));
    const captured = capture(fixture);
    const { tunWrites } = fixture.ingress({ ...FROM.b, bytes: answer });
    expect(captured().map(({ point, verdict, target, bytes }) => ({ point, verdict, target, bytes }))).toEqual([
      { point: "tunnelIn", verdict: "delivered", target: B1.v4, bytes: answer },
      { point: "tunOut", verdict: "delivered", target: B1.v4, bytes: tunWrites[0]?.subarray(Virtio.SIZE) },
    ]);
  });

  test("a dropped packet with its reason, from either side", async () => {
    const fixture = await onNodeA();
    const captured = capture(fixture, [{ ...EVERYTHING, isDroppedOnly: true }]);
    const nowhere = packet().ip(A1.v4, UNKNOWN.v4).udp({ sport: 1, dport: 2 }).bytes();
    fixture.egress(virtioFrame(nowhere, {}), virtioFrame(request, {}));
    fixture.ingress({ ...FROM.stranger, bytes: answer }, { ...FROM.b, bytes: Uint8Array.of(0x45) });
    expect(captured().map(({ point, verdict, reason, bytes }) => [point, verdict, reason, bytes])).toEqual([
      ["tunIn", "dropped", "unknownAddress", nowhere],
      ["tunnelIn", "dropped", "unknownNode", answer],
      ["tunnelIn", "dropped", "truncatedHeader", Uint8Array.of(0x45)],
    ]);
  });

  test("each segment of a super-packet, and each datagram of a joined message", async () => {
    const fixture = await onNodeA();
    fixture.egress(virtioFrame(request, {}));
    const captured = capture(fixture);
    const data = tcpPacket(A1.v4, ROUND_ROBIN.b.v4, { sport: 4000, dport: 80, flags: FLAG.ACK | FLAG.PSH });
    const large = data.payload(3000).frame();
    const { datagrams } = fixture.egress(large);
    const sent = captured();
    expect(sent.filter(({ point }) => point === "tunnelOut").map(({ bytes }) => bytes)).toEqual(
      datagrams.map(({ bytes }) => bytes),
    );
    expect(sent.filter(({ point }) => point === "tunIn")).toHaveLength(1);
  });

  test("what stays on the node, once in each direction", async () => {
    const fixture = await onNodeA();
    const captured = capture(fixture);
    const local = packet().ip(A1.v4, C1.instanceV4).udp({ sport: 1, dport: 2 }).payload(10).bytes();
    fixture.egress(virtioFrame(local, {}));
    expect(captured().map(({ point, verdict, target }) => [point, verdict, target])).toEqual([
      ["tunIn", "delivered", C1.v4],
      ["tunOut", "delivered", C1.v4],
    ]);
  });

  test("what several captures want, once, with as many bytes as one of them wants", async () => {
    const fixture = await onNodeA();
    const captured = capture(fixture, [
      { bit: 1, snapLength: 30, isDroppedOnly: false, port: 80 },
      { bit: 4, snapLength: 20, isDroppedOnly: false, address: keyOfText(B1.v4) },
      { bit: 5, snapLength: 99, isDroppedOnly: false, protocols: [17] },
    ]);
    fixture.egress(virtioFrame(request, {}));
    expect(captured().map(({ point, captures, bytes }) => [point, captures, bytes.length])).toEqual([
      ["tunIn", (1 << 1) | (1 << 4), 30],
      ["tunnelOut", (1 << 1) | (1 << 4), 30],
    ]);
  });
});

test("the engine notes nothing when nobody captures", async () => {
  const fixture = await onNodeA();
  const plain = fixture.engine;
  const area = new WorkerArea(fixture.shared.memory, 0);
  capture(fixture);
  fixture.egress(virtioFrame(request, {}));
  expect(area.word(WorkerLayout.NOTE_COUNT)).toBeGreaterThan(0);
  CapturingEngine.stopNoting(area);
  Object.defineProperty(fixture, "engine", { value: plain });
  fixture.egress(virtioFrame(request, {}));
  expect(area.word(WorkerLayout.NOTE_COUNT)).toBe(0);
});
