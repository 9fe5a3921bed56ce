// How long a flow is remembered without packets, by protocol and state, and what ends it at once.
import { describe, expect, test } from "vitest";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { engineFlows } from "../support/engine-flows.ts";
import { answer, counted, DATA, ONE } from "../support/first-flow.ts";
import { FLAG, packet, tcpPacket, udpPacket } from "../support/packet-builder.ts";
import { expectPacket, from, to } from "../support/packet-checks.ts";
import { writtenPacket } from "../support/packets-of.ts";
import { A1, B1, FROM, onNodeA, ROUND_ROBIN, TO } from "../support/world.ts";

describe("idle timeouts follow the protocol", () => {
  const TIMEOUTS = {
    udpUnreplied: 1000,
    udpStream: 2000,
    tcpOpening: 3000,
    tcpEstablished: 60_000,
    tcpHalfClosed: 4000,
    tcpClosed: 500,
  };

  /** Whether the one flow survives `idleMs` without a packet. */
  function survives(fixture: EngineFixture, idleMs: number): boolean {
    fixture.advance(idleMs);
    return (fixture.sweep().counts.flowsExpired ?? 0) === 0;
  }

  const UDP = packet().ip(A1.v4, ROUND_ROBIN.b.v4).udp({ sport: 40000, dport: 53 }).payload("q").frame();
  const UDP_ANSWER = packet().ip(B1.instanceV4, A1.v4).udp({ sport: 53, dport: 40000 }).payload("a").bytes();
  const forward = (flags: number): Uint8Array =>
    packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80, flags }).frame();

  type Step = (fixture: EngineFixture) => void;
  const out =
    (flags: number): Step =>
    (fixture) =>
      fixture.egress(forward(flags));
  const back =
    (flags: number): Step =>
    (fixture) =>
      fixture.ingress({ ...FROM.b, bytes: answer(flags) });
  const established = [out(FLAG.SYN), back(FLAG.SYN | FLAG.ACK), out(FLAG.ACK)];
  const halfClosed = [...established, out(FLAG.FIN | FLAG.ACK)];
  const cases: readonly (readonly [what: string, state: keyof typeof TIMEOUTS, steps: readonly Step[]])[] = [
    ["UDP without an answer", "udpUnreplied", [(f) => f.egress(UDP), (f) => f.egress(UDP)]],
    ["UDP with an answer", "udpStream", [(f) => f.egress(UDP), (f) => f.ingress({ ...FROM.b, bytes: UDP_ANSWER })]],
    ["SYN alone", "tcpOpening", [out(FLAG.SYN)]],
    ["SYN, SYN ACK", "tcpOpening", [out(FLAG.SYN), back(FLAG.SYN | FLAG.ACK)]],
    ["the whole handshake", "tcpEstablished", established],
    ["an ACK from the middle of a connection", "tcpOpening", [out(FLAG.ACK)]],
    ["a connection picked up in the middle", "tcpEstablished", [out(FLAG.ACK), back(FLAG.ACK)]],
    ["FIN of the client", "tcpHalfClosed", [...established, out(FLAG.FIN | FLAG.ACK)]],
    ["FIN of the server", "tcpHalfClosed", [...established, back(FLAG.FIN | FLAG.ACK)]],
    ["data after one FIN", "tcpHalfClosed", [...established, back(FLAG.FIN | FLAG.ACK), out(FLAG.ACK)]],
    ["FIN of both", "tcpClosed", [...established, out(FLAG.FIN | FLAG.ACK), back(FLAG.FIN | FLAG.ACK)]],
    ["the last ACK", "tcpClosed", [...established, out(FLAG.FIN | FLAG.ACK), back(FLAG.FIN | FLAG.ACK), out(FLAG.ACK)]],
    ["RST of the client", "tcpClosed", [...established, out(FLAG.RST)]],
    ["RST of the server", "tcpClosed", [out(FLAG.SYN), back(FLAG.RST | FLAG.ACK)]],
    ["RST as the first packet", "tcpClosed", [out(FLAG.RST)]],
    ["FIN as the first packet", "tcpHalfClosed", [out(FLAG.FIN | FLAG.ACK)]],
    ["FIN after RST", "tcpClosed", [...established, out(FLAG.RST), back(FLAG.FIN | FLAG.ACK)]],
    ["RST, and one side goes on", "tcpClosed", [...established, back(FLAG.RST), out(FLAG.ACK), out(FLAG.ACK)]],
    ["RST, and both go on", "tcpEstablished", [...established, back(FLAG.RST), out(FLAG.ACK), back(FLAG.ACK)]],
    [
      "RST twice, one side after each",
      "tcpClosed",
      [...established, out(FLAG.RST), out(FLAG.ACK), out(FLAG.RST), back(FLAG.ACK)],
    ],
    [
      "RST, and a half-closed one goes on",
      "tcpHalfClosed",
      [...halfClosed, back(FLAG.RST), out(FLAG.ACK), back(FLAG.ACK)],
    ],
    [
      "RST after both FINs",
      "tcpClosed",
      [...halfClosed, back(FLAG.FIN | FLAG.ACK), back(FLAG.RST), out(FLAG.ACK), back(FLAG.ACK)],
    ],
    ["SYN on a half-closed one", "tcpOpening", [...halfClosed, out(FLAG.SYN)]],
    ["a new handshake on a half-closed one", "tcpEstablished", [...halfClosed, ...established]],
    ["FIN after such a handshake", "tcpHalfClosed", [...halfClosed, ...established, back(FLAG.FIN | FLAG.ACK)]],
  ];
  test.each(cases)("%s: %s", async (_what, state, steps) => {
    for (const idleMs of [TIMEOUTS[state] - 2, TIMEOUTS[state] + 2]) {
      const fixture = await onNodeA({ memory: { timeoutsMs: TIMEOUTS } });
      for (const step of steps) {
        step(fixture);
        fixture.advance(1);
      }
      expect(survives(fixture, idleMs - 1)).toBe(idleMs < TIMEOUTS[state]);
    }
  });

  const HOUR_MS = 3_600_000;
  const defaults: readonly (readonly [what: string, idleMs: number, steps: readonly Step[]])[] = [
    ["UDP without an answer for two minutes", 120_000, [(f) => f.egress(UDP)]],
    ["an opening connection for four minutes", 240_000, [out(FLAG.SYN)]],
    ["an established one for a day", 24 * HOUR_MS, established],
    ["a half-closed one for two hours and four minutes", 7_440_000, [...established, out(FLAG.FIN | FLAG.ACK)]],
    ["a closed one for four minutes", 240_000, [...established, out(FLAG.FIN | FLAG.ACK), back(FLAG.FIN | FLAG.ACK)]],
    ["one that was reset for four minutes", 240_000, [...established, back(FLAG.RST)]],
  ];
  test.each(defaults)("unless configured, a worker remembers %s", async (_what, idleMs, steps) => {
    for (const [idle, stays] of [
      [idleMs - 2, true],
      [idleMs + 2, false],
    ] as const) {
      const fixture = await onNodeA();
      for (const step of steps) step(fixture);
      expect(survives(fixture, idle)).toBe(stays);
    }
  });

  test("a connection idle for two hours stays on its instance [defect 8, remedy 5]", async () => {
    const fixture = await onNodeA();
    for (const step of established) step(fixture);
    fixture.policy = () => 2;
    expect(survives(fixture, 2 * HOUR_MS)).toBe(true);
    const result = fixture.egress(DATA.frame());
    expect(result.datagrams[0]?.endpoint).toBe(TO.b);
    expect(counted(result.counts)).toEqual(ONE);
    expect(fixture.ingress({ ...FROM.b, bytes: answer(FLAG.ACK) }).counts.ingressPackets).toBe(1);
  });

  test("a packet of either direction keeps the flow alive", async () => {
    const fixture = await onNodeA({ memory: { timeoutsMs: TIMEOUTS } });
    fixture.egress(UDP);
    fixture.ingress({ ...FROM.b, bytes: UDP_ANSWER });
    for (let i = 0; i < 5; i++) {
      expect(survives(fixture, 1500)).toBe(true);
      if (i % 2 === 0) fixture.egress(UDP);
      else fixture.ingress({ ...FROM.b, bytes: UDP_ANSWER });
    }
    expect(survives(fixture, 2500)).toBe(false);
  });

  test("an expired flow begins anew with the next packet", async () => {
    const fixture = await onNodeA({ memory: { timeoutsMs: TIMEOUTS } });
    fixture.egress(UDP);
    expect(survives(fixture, 1001)).toBe(false);
    fixture.policy = () => 2;
    const result = fixture.egress(UDP);
    expect(result.datagrams[0]?.endpoint).toBe(TO.d);
    expect(counted(result.counts)).toEqual({ ...ONE, flowsOpened: 1, policyChoices: 1 });
  });

  test("the answer to an expired flow is delivered under the instance's own address", async () => {
    const fixture = await onNodeA({ memory: { timeoutsMs: TIMEOUTS } });
    fixture.egress(UDP);
    survives(fixture, 1001);
    const result = fixture.ingress({ ...FROM.b, bytes: UDP_ANSWER });
    expectPacket(writtenPacket(result), from(B1.instanceV4, 53), to(A1.v4, 40000));
  });

  test("a sweep with a small budget gets round in several calls", async () => {
    const fixture = await onNodeA({ withoutTwin: true, memory: { timeoutsMs: TIMEOUTS } });
    const frames = Array.from({ length: 100 }, (_, i) => udpPacket(A1.v4, ROUND_ROBIN.b.v4, 1000 + i, 53, "q").frame());
    fixture.egress(...frames);
    fixture.advance(1001);
    const ended = Array.from({ length: 11 }, () => fixture.engine.sweep(fixture.nowUs, 10));
    expect(ended.reduce((sum, one) => sum + one, 0)).toBe(100);
    expect(Math.max(...ended)).toBeLessThanOrEqual(10);
  });
});

describe("a reset counts within the window of its receiver", () => {
  const CLIENT_NEXT = 5000;
  const SERVER_NEXT = 0xffffff00; // the window wraps
  const WINDOW = 1000;
  const scaling = (scale: number): number[] => [2, 4, 5, 180, 1, 3, 3, scale];

  async function connected(client: number[], server: number[]): Promise<EngineFixture> {
    const fixture = await onNodeA();
    const out = (fields: object): void => {
      fixture.egress(tcpPacket(A1.v4, ROUND_ROBIN.b.v4, { sport: 40000, dport: 80, ...fields }).frame());
    };
    const back = (fields: object): void => {
      const bytes = tcpPacket(B1.instanceV4, A1.v4, { sport: 80, dport: 40000, ...fields }).bytes();
      fixture.ingress({ ...FROM.b, bytes });
    };
    const window = WINDOW;
    out({ flags: FLAG.SYN, seq: CLIENT_NEXT - 1, window, options: client });
    back({ flags: FLAG.SYN | FLAG.ACK, seq: SERVER_NEXT - 1, ack: CLIENT_NEXT, window, options: server });
    out({ flags: FLAG.ACK, seq: CLIENT_NEXT, ack: SERVER_NEXT, window });
    back({ flags: FLAG.ACK, seq: SERVER_NEXT, ack: CLIENT_NEXT, window });
    return fixture;
  }

  type Case = readonly [what: string, client: number[], server: number[], scale: number];
  const cases: readonly Case[] = [
    ["without scaling", [], [], 0],
    ["scaled by both", scaling(4), scaling(4), 4],
    ["scaled by one, so not at all", scaling(4), [2, 4, 5, 180], 0],
    ["scaled beyond what there is", scaling(200), scaling(200), 14],
  ];
  test.each(cases)("%s", async (_what, client, server, scale) => {
    const reach = WINDOW * 2 ** scale;
    for (const [offset, closes] of [
      [-1, false],
      [0, true],
      [1, true],
      [reach, true],
      [reach + 1, false],
      [2 ** 31, false],
    ] as const) {
      for (const isReply of [false, true]) {
        const fixture = await connected(client, server);
        const seq = ((isReply ? SERVER_NEXT : CLIENT_NEXT) + offset) >>> 0;
        const ends = { sport: isReply ? 80 : 40000, dport: isReply ? 40000 : 80 };
        const build = packet().ip(isReply ? B1.instanceV4 : A1.v4, isReply ? A1.v4 : ROUND_ROBIN.b.v4);
        const reset = build.tcp({ ...ends, seq, flags: FLAG.RST });
        if (isReply) fixture.ingress({ ...FROM.b, bytes: reset.bytes() });
        else fixture.egress(reset.frame());
        const state = closes ? "tcpClosed" : "tcpEstablished";
        expect(engineFlows(fixture.shared), `${isReply} ${offset}`).toEqual([expect.stringContaining(state)]);
        // Nobody answers for the receiver: it has the reset, and says itself what it thinks of it.
        expect(fixture.countsSinceStart()[isReply ? "ingressPackets" : "egressPackets"]).toBe(3);
      }
    }
  });

  test("a window that nobody announced is no reason to doubt", async () => {
    const fixture = await onNodeA();
    fixture.egress(packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80, flags: FLAG.SYN }).frame());
    const refusal = tcpPacket(B1.instanceV4, A1.v4, { sport: 80, dport: 40000, seq: 0, flags: FLAG.RST | FLAG.ACK });
    fixture.ingress({ ...FROM.b, bytes: refusal.bytes() });
    expect(engineFlows(fixture.shared)).toEqual([expect.stringContaining("tcpClosed")]);
  });
});
