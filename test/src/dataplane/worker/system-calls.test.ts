// How many system calls a packet costs, and how often it wakes a worker: the loop with its real devices and engine
// over a kernel that counts. Counts, not times, so that they are the same on every machine.
import { describe, expect, test } from "vitest";
import * as HeaderLayout from "../../../../assembly/shared/layout/header.ts";
import { TunDevice } from "../../../../src/dataplane/io/tun-device.ts";
import { UdpDevice } from "../../../../src/dataplane/io/udp-device.ts";
import { Loop } from "../../../../src/dataplane/worker/loop.ts";
import type { EngineFixture } from "../../../support/engine-fixture.ts";
import { packet } from "../../../support/packet-builder.ts";
import type { Counts } from "../../../support/reference/counts.ts";
import type { Message } from "../../../support/reference/translator.ts";
import { type Arrival, type Calls, NONE, ScriptedKernel } from "../../../support/scripted-kernel.ts";
import { A1, B1, FROM, instance, onNodeA, ROUND_ROBIN, serviceB, world } from "../../../support/world.ts";

/** Of the client, whose source port tells its flow; the answers need not be of the same. */
function frame(sport: number, payload = "ping"): Uint8Array {
  return packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport, dport: 53 }).payload(payload).frame();
}

function answer({ dport = 40000, id = 0 }): Message {
  const bytes = packet().ipv4({ src: B1.instanceV4, dst: A1.v4, id }).udp({ sport: 53, dport }).payload("pong").bytes();
  return { ...FROM.b, bytes };
}

const FRAME = frame(40000);
const MESSAGE = answer({});
/** Answers to as many flows, which cannot share a write. */
const FLOWS = 64;
const FRAMES = Array.from({ length: FLOWS }, (_, index) => frame(40000 + index));
const MESSAGES = FRAMES.map((_, index) => answer({ dport: 40000 + index }));
/** In a row, as segmentation numbers them. */
const ONE_FLOW = FRAMES.map((_, id) => answer({ id }));

const REQUEST: Arrival = { frames: [FRAME] };
const ANSWER: Arrival = { messages: [MESSAGE] };

function times(count: number, ...arrivals: readonly Arrival[]): Arrival[] {
  return Array.from({ length: count }, () => arrivals).flat();
}

/** Runs the loop until it sleeps with nothing left to come; what happened before the first sleep does not count. */
async function run(script: readonly Arrival[], hasRing = false): Promise<{ calls: Calls; counts: Counts }> {
  const fixture: EngineFixture = await onNodeA({
    tables: world(serviceB([instance(1, "node-b", B1)])),
    memory: { offloads: HeaderLayout.OFFLOAD_TUN_UDP },
    withoutTwin: true,
  });
  fixture.egress(...FRAMES); // the flows
  const before = fixture.io.snapshot();
  const kernel = new ScriptedKernel(fixture, script);
  const loop = new Loop({
    engine: { current: fixture.engine },
    tun: new TunDevice(-1, kernel.area, kernel, hasRing ? kernel.ring() : undefined),
    udp: new UdpDevice(-1, kernel.area, fixture.engine, kernel),
    waiter: kernel,
    clock: () => fixture.nowUs,
    flowRecords: () => 0,
    parkedPackets: () => 0,
    probePauseUs: undefined,
    attendOrders: () => !kernel.isOver,
  });
  loop.run();
  return { calls: kernel.calls, counts: fixture.io.countsSince(before) };
}

const BURSTS = 8;

describe("system calls", () => {
  test.each<[string, Arrival[], Partial<Calls>, Counts]>([
    [
      "requests that come alone: a wait, a read and a send each; only the first read is repeated",
      times(64, REQUEST),
      { wakeUps: 64, poll: 64, read: 65, readEmpty: 1, sendmmsg: 64 },
      { egressPackets: 64 },
    ],
    [
      "answers that come alone: a wait, a receive and a write each",
      times(64, ANSWER),
      { wakeUps: 64, poll: 64, recvmmsg: 64, writev: 64 },
      { ingressPackets: 64 },
    ],
    [
      "a round trip as its client's node sees it: six",
      times(64, REQUEST, ANSWER),
      { wakeUps: 128, poll: 128, read: 65, readEmpty: 1, sendmmsg: 64, recvmmsg: 64, writev: 64 },
      { egressPackets: 64, ingressPackets: 64 },
    ],
    [
      "requests that come two at a time: one read that finds nothing per wake-up",
      times(64, { frames: [FRAME, FRAME] }),
      { wakeUps: 64, poll: 64, read: 192, readEmpty: 64, sendmmsg: 64 },
      { egressPackets: 128 },
    ],
    [
      "batches of 64 requests: a wait and a send each",
      times(BURSTS, { frames: FRAMES }),
      { wakeUps: 8, poll: 8, read: 512, sendmmsg: 8 },
      { egressPackets: 512 },
    ],
    [
      "batches of 64 answers of as many flows: a wait and a receive each",
      times(BURSTS, { messages: MESSAGES }),
      { wakeUps: 8, poll: 8, recvmmsg: 8, writev: 512 },
      { ingressPackets: 512 },
    ],
    [
      "batches of 64 answers of one flow: a wait, a receive and a write each",
      times(BURSTS, { messages: ONE_FLOW }),
      { wakeUps: 8, poll: 8, recvmmsg: 8, writev: 8 },
      { ingressPackets: 512 },
    ],
    [
      "both directions at once: one wait for both",
      times(BURSTS, { frames: FRAMES, messages: MESSAGES }),
      { wakeUps: 8, poll: 8, read: 512, sendmmsg: 8, recvmmsg: 8, writev: 512 },
      { egressPackets: 512, ingressPackets: 512 },
    ],
    [
      "a batch after requests that came alone: its first packet goes ahead, the others at once behind it",
      [...times(3, REQUEST), { frames: FRAMES }],
      { wakeUps: 4, poll: 5, read: 69, readEmpty: 2, sendmmsg: 5 },
      { egressPackets: 67 },
    ],
  ])("of %s", async (_what, script, calls, packets) => {
    const found = await run(script);
    expect(found.calls).toEqual({ ...NONE, ...calls });
    expect(found.counts).toMatchObject(packets);
  });

  test.each<[string, Arrival[], Partial<Calls>]>([
    [
      "batches of 64 answers of as many flows: a wait, a receive and a submission each",
      times(BURSTS, { messages: MESSAGES }),
      { wakeUps: 8, poll: 8, recvmmsg: 8, enter: 8 },
    ],
    [
      "answers that come alone: the same as without",
      times(64, ANSWER),
      { wakeUps: 64, poll: 64, recvmmsg: 64, writev: 64 },
    ],
    [
      "7 answers of as many flows, fewer than a submission is worth",
      times(BURSTS, { messages: MESSAGES.slice(0, 7) }),
      { wakeUps: 8, poll: 8, recvmmsg: 8, writev: 56 },
    ],
  ])("with a ring for the TUN, of %s", async (_what, script, calls) => {
    expect((await run(script, true)).calls).toEqual({ ...NONE, ...calls });
  });
});
