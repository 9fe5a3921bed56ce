// The workers' clock counts milliseconds in 32 bits: half of them are over after 24.9 days, all of them after 49.7. What
// waits or is remembered notices neither.
import { describe, expect, test } from "vitest";
import { readQuestions } from "../../src/memory/questions.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { packet, virtioFrame } from "../support/packet-builder.ts";
import { A1, B_ROUND_ROBIN, onNodeA, UNKNOWN } from "../support/world.ts";

const HALF_MS = 2 ** 31;
const PARK = { timeoutMs: 3000, packets: 4, bytes: 100_000 };
const [FIRST, LATER] = fragmentsOf(
  packet().ip(A1.v4, B_ROUND_ROBIN.v4).udp({ sport: 4000, dport: 53 }).payload(1000).bytes(),
  800,
  7,
).map((bytes) => virtioFrame(bytes, {})) as [Uint8Array, Uint8Array];
const CALL = packet().ip(A1.v4, UNKNOWN.v4).udp({ sport: 1, dport: 53 }).payload(20).frame();

/** A node whose clock is so many milliseconds before a wrap. */
async function startedBefore(wrapMs: number, byMs: number): Promise<EngineFixture> {
  const fixture = await onNodeA({ memory: { park: PARK } });
  fixture.nowUs = (wrapMs - byMs) * 1000;
  return fixture;
}

function questions(fixture: EngineFixture) {
  return readQuestions(fixture.shared, fixture.nowMs, PARK.timeoutMs);
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
});

describe.each([HALF_MS - 1, HALF_MS, HALF_MS + 1, 2 * HALF_MS - 500, 2 * HALF_MS, 2 * HALF_MS + 500])(
  "%i ms later",
  (laterMs) => {
    /** Time passes in which the worker has nothing to do but to sweep. */
    function passTime(fixture: EngineFixture): void {
      for (let passedMs = 0; passedMs < laterMs; passedMs += Math.ceil(laterMs / 64)) {
        fixture.advance(Math.min(Math.ceil(laterMs / 64), laterMs - passedMs));
        fixture.sweep();
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
  },
);
