// The workers' clock counts milliseconds in 32 bits: half of them are over after 24.9 days, all of them after 49.7. What
// waits or is remembered notices neither.
import { describe, expect, test } from "vitest";
import { readQuestions } from "../../src/memory/questions.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { FLAG, packet, tcpPacket, virtioFrame } from "../support/packet-builder.ts";
import { A1, B1, FROM, onNodeA, ROUND_ROBIN, UNKNOWN } from "../support/world.ts";

const HALF_MS = 2 ** 31;
const DAY_MS = 86_400_000;
const PARK = { timeoutMs: 3000, packets: 4, bytes: 100_000 };
const [FIRST, LATER] = fragmentsOf(
  packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 4000, dport: 53 }).payload(1000).bytes(),
  800,
  7,
).map((bytes) => virtioFrame(bytes, {})) as [Uint8Array, Uint8Array];
const CALL = packet().ip(A1.v4, UNKNOWN.v4).udp({ sport: 1, dport: 53 }).payload(20).frame();

const out = (flags: number): Uint8Array =>
  packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80, flags }).frame();

function udp(sport: number): Uint8Array {
  return packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport, dport: 53 }).payload("q").frame();
}

/** Opens a TCP connection, which may be idle for a day. */
function connect(fixture: EngineFixture): void {
  fixture.egress(out(FLAG.SYN));
  const ports = { sport: 80, dport: 40000 };
  const answer = tcpPacket(B1.instanceV4, A1.v4, { ...ports, flags: FLAG.SYN | FLAG.ACK });
  fixture.ingress({ ...FROM.b, bytes: answer.bytes() });
  fixture.egress(out(FLAG.ACK));
}

/** A node whose clock is so many milliseconds before a wrap. */
async function startedBefore(wrapMs: number, byMs: number): Promise<EngineFixture> {
  const fixture = await onNodeA({ memory: { park: PARK } });
  fixture.nowUs = (wrapMs - byMs) * 1000;
  return fixture;
}

function questions(fixture: EngineFixture) {
  const open = readQuestions(fixture.shared, fixture.nowMs, PARK.timeoutMs);
  return open.map(({ address, ageMs }) => ({ address, ageMs }));
}

describe.each([HALF_MS, 2 * HALF_MS])("when %i ms are over", (wrapMs) => {
  test("a fragment waits a second for its first one", async () => {
    const fixture = await startedBefore(wrapMs, 500);
    fixture.egress(LATER);
    fixture.advance(999);
    expect(fixture.egress(FIRST).datagrams).toHaveLength(2);
  });

  test("and no longer", async () => {
    const fixture = await startedBefore(wrapMs, 500);
    fixture.egress(LATER);
    fixture.advance(1000);
    expect(fixture.sweep().counts).toEqual({ "egressDrop.fragmentOrphan": 1 });
  });

  test("a first fragment is remembered for 30 seconds", async () => {
    const fixture = await startedBefore(wrapMs, 15_000);
    fixture.egress(FIRST);
    fixture.advance(29_999);
    expect(fixture.egress(LATER).datagrams).toHaveLength(1);
    fixture.advance(1);
    expect(fixture.egress(LATER).counts).toEqual({ fragmentsHeld: 1 });
  });

  test("a question is as old as its packet, and given up in time", async () => {
    const fixture = await startedBefore(wrapMs, 1000);
    fixture.egress(CALL);
    fixture.advance(2000);
    expect(questions(fixture)).toEqual([{ address: UNKNOWN.v4, ageMs: 2000 }]);
    expect(fixture.unpark().counts).toEqual({});
    fixture.advance(1000);
    expect(questions(fixture)).toEqual([]);
    expect(fixture.unpark().counts).toEqual({ "egressDrop.unknownAddress": 1 });
  });

  test("an address is refused for a second", async () => {
    const fixture = await startedBefore(wrapMs, 500);
    fixture.refuse(UNKNOWN.v4);
    fixture.advance(999);
    expect(fixture.egress(CALL).counts).toEqual({ "egressDrop.unknownAddress": 1 });
    fixture.advance(1);
    expect(fixture.egress(CALL).counts).toEqual({ packetsParked: 1, addressesAsked: 1 });
  });

  test("a flow that nobody answers ends after two idle minutes, and no earlier", async () => {
    const fixture = await startedBefore(wrapMs, 60_000);
    fixture.egress(udp(4000));
    fixture.advance(119_999);
    expect(fixture.sweep().counts).toEqual({});
    fixture.advance(1);
    expect(fixture.sweep().counts).toEqual({ flowsExpired: 1 });
  });

  test("a connection ends after an idle day, and no earlier", async () => {
    const fixture = await startedBefore(wrapMs, DAY_MS / 2);
    connect(fixture);
    fixture.advance(DAY_MS - 1);
    expect(fixture.sweep().counts).toEqual({});
    fixture.advance(1);
    expect(fixture.sweep().counts).toEqual({ flowsExpired: 1 });
  });

  test("of a full table the longest unused flow goes", async () => {
    const capacities = { flows: 30, addresses: 64, instances: 64, workloads: 16, nodes: 8, workers: 1 };
    const fixture = await onNodeA({ withoutTwin: true, memory: { capacities } });
    fixture.nowUs = (wrapMs - 15) * 1000;
    // Half of them were used before the clock wraps, half of them after; the third one is the oldest in the end.
    const ports = Array.from({ length: 30 }, (_, i) => 4000 + i);
    for (const sport of ports) {
      fixture.egress(udp(sport));
      fixture.advance(1);
    }
    fixture.egress(udp(4000), udp(4001));
    expect(fixture.egress(udp(5000)).counts).toMatchObject({ flowsOpened: 1, flowsEvicted: 1 });
    for (const sport of ports.filter((port) => port !== 4002)) {
      expect(fixture.egress(udp(sport)).counts.flowsOpened, `flow of port ${sport}`).toBeUndefined();
    }
    expect(fixture.egress(udp(4002)).counts.flowsOpened).toBe(1);
  });
});

describe.each([HALF_MS - 1, HALF_MS, HALF_MS + 1, 2 * HALF_MS - 500, 2 * HALF_MS, 2 * HALF_MS + 500])(
  "%i ms later",
  (laterMs) => {
    /** Time passes in which the worker has little to do but to sweep. */
    function passTime(fixture: EngineFixture, meanwhile = (): void => undefined): void {
      for (let passedMs = 0; passedMs < laterMs; passedMs += Math.ceil(laterMs / 64)) {
        fixture.advance(Math.min(Math.ceil(laterMs / 64), laterMs - passedMs));
        fixture.sweep();
        meanwhile();
      }
    }

    test("a refused address is asked for again", async () => {
      const fixture = await startedBefore(HALF_MS, 500);
      fixture.refuse(UNKNOWN.v4);
      expect(fixture.egress(CALL).counts).toEqual({ "egressDrop.unknownAddress": 1 });
      passTime(fixture);
      expect(fixture.egress(CALL).counts).toEqual({ packetsParked: 1, addressesAsked: 1 });
      expect(questions(fixture)).toEqual([{ address: UNKNOWN.v4, ageMs: 0 }]);
    });

    test("a first fragment is forgotten", async () => {
      const fixture = await startedBefore(HALF_MS, 500);
      fixture.egress(FIRST);
      passTime(fixture);
      expect(fixture.egress(LATER).counts).toEqual({ fragmentsHeld: 1 });
    });

    test("an idle connection has ended", async () => {
      const fixture = await startedBefore(HALF_MS, 500);
      connect(fixture);
      passTime(fixture);
      expect(fixture.egress(out(FLAG.ACK)).counts.flowsOpened).toBe(1);
    });

    test("a connection that is used more than once a day is still there", async () => {
      const fixture = await startedBefore(HALF_MS, 500);
      connect(fixture);
      passTime(fixture, () => {
        expect(fixture.egress(out(FLAG.ACK)).counts.flowsOpened).toBeUndefined();
      });
      expect(fixture.countsSinceStart()).not.toHaveProperty("flowsExpired");
    });
  },
);
