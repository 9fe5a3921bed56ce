// The kernel refuses a UDP_SEGMENT send: the same datagrams go out one by one, and that node gets no more of them.
import { describe, expect, test } from "vitest";
import { forgetGsoRefusals } from "../../src/memory/offloads.ts";
import { packet } from "../support/packet-builder.ts";
import { A1, onNodeA, ROUND_ROBIN, TO } from "../support/world.ts";

const EPERM = 1;
const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;
const ECONNREFUSED = 111;

const SUPER = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 80 }).payload(3000);
const FRAME = SUPER.offloadFrame({ gsoType: 1, gsoSize: 1000 });

test.each([
  ["EIO", EIO],
  ["EINVAL", EINVAL],
  ["EMSGSIZE", EMSGSIZE],
])("%s: the same datagrams, in order, to the same endpoint", async (_name, errno) => {
  const fixture = await onNodeA();
  const { messages, datagrams } = fixture.egress(FRAME);
  expect(messages.length).toBe(1);
  const before = fixture.io.snapshot();
  const count = fixture.engine.udpRejected(0, errno);
  expect(count).toBe(3);
  const singles = fixture.io.retryMessages(count);
  expect(singles.map((one) => one.endpoint)).toEqual([TO.b, TO.b, TO.b]);
  expect(singles.map((one) => one.packetCount)).toEqual([1, 1, 1]);
  expect(singles.flatMap((one) => one.datagrams)).toEqual(datagrams.map((one) => one.bytes));
  expect(fixture.io.countsSince(before)).toEqual({ gsoRefused: 1 });
});

test("the second message of a queue is split, not the first", async () => {
  const fixture = await onNodeA();
  const other = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40000, dport: 81 }).payload(40);
  const { messages } = fixture.egress(FRAME, other.payload(2500).offloadFrame({ gsoType: 1, gsoSize: 700 }));
  expect(messages.length).toBe(2);
  const singles = fixture.io.retryMessages(fixture.engine.udpRejected(1, EINVAL));
  expect(singles.flatMap((one) => one.datagrams)).toEqual(messages[1]?.datagrams);
});

describe("afterwards", () => {
  test("the node gets single datagrams, other nodes still get UDP_SEGMENT", async () => {
    const fixture = await onNodeA();
    fixture.egress(FRAME);
    fixture.engine.udpRejected(0, EIO);
    expect(fixture.egress(FRAME).messages.map((one) => one.datagrams.length)).toEqual([1, 1, 1]);
    fixture.policy = () => 1;
    const toC = packet().ip(A1.v4, ROUND_ROBIN.b.v4).tcp({ sport: 40001, dport: 80 }).payload(3000);
    const result = fixture.egress(toC.offloadFrame({ gsoType: 1, gsoSize: 1000 }));
    expect(result.messages.map((one) => [one.endpoint, one.datagrams.length])).toEqual([[TO.c, 3]]);
  });

  test("switching UDP_SEGMENT on anew gives the node another trial, which it may refuse as well", async () => {
    const fixture = await onNodeA();
    for (const _trial of ["first", "second"]) {
      expect(fixture.egress(FRAME).messages.map((one) => one.datagrams.length)).toEqual([3]);
      expect(fixture.engine.udpRejected(0, EIO)).toBe(3);
      expect(fixture.egress(FRAME).messages.length).toBe(3);
      forgetGsoRefusals(fixture.shared);
    }
  });
});

test.each([
  ["EPERM", EPERM],
  ["ECONNREFUSED", ECONNREFUSED],
])("%s has nothing to do with segments: nothing is repeated", async (_name, errno) => {
  const fixture = await onNodeA();
  fixture.egress(FRAME);
  expect(fixture.engine.udpRejected(0, errno)).toBe(0);
  expect(fixture.egress(FRAME).messages.length).toBe(1);
});

test("a single datagram that is refused is not repeated", async () => {
  const fixture = await onNodeA();
  fixture.egress(SUPER.payload(100).frame());
  expect(fixture.engine.udpRejected(0, EMSGSIZE)).toBe(0);
});
