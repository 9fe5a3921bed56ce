// `ping`: ICMP echo is bound to an instance by its identifier, as TCP and UDP are by their ports.
import { expect, test } from "vitest";
import { given } from "../support/given.ts";
import { packet } from "../support/packet-builder.ts";
import { expectPacket, from, to, transportChecksum, validChecksums } from "../support/packet-checks.ts";
import { packetIn, sentPacket } from "../support/packets-of.ts";
import { A1, B1, C1, CLOSEST, FROM, onNodeA, ROUND_ROBIN, TO } from "../support/world.ts";

const FAMILIES = [
  { name: "IPv4", client: A1.v4, own: A1.instanceV4, called: ROUND_ROBIN.b.v4, other: CLOSEST.b.v4, ...pair("v4") },
  { name: "IPv6", client: A1.v6, own: A1.instanceV6, called: ROUND_ROBIN.b.v6, other: CLOSEST.b.v6, ...pair("v6") },
] as const;

function pair(family: "v4" | "v6") {
  return family === "v4"
    ? {
        request: 8,
        reply: 0,
        target: B1.v4,
        answering: B1.instanceV4,
        neighbour: C1.v4,
        neighbourInstance: C1.instanceV4,
      }
    : {
        request: 128,
        reply: 129,
        target: B1.v6,
        answering: B1.instanceV6,
        neighbour: C1.v6,
        neighbourInstance: C1.instanceV6,
      };
}

function echo(src: string, dst: string, type: number, identifier: number): Uint8Array {
  return packet()
    .ip(src, dst)
    .icmp({ type, words: [identifier, 7] })
    .payload(56)
    .bytes();
}

/** The identifier of an echo. */
function identifierOf(bytes: Uint8Array | undefined): number {
  if (bytes === undefined) throw new Error("expected a packet, there is none");
  const at = (bytes[0] as number) >> 4 === 4 ? 24 : 44;
  return (bytes[at] as number) * 256 + (bytes[at + 1] as number);
}

function behindHeader(frame: Uint8Array | undefined): Uint8Array {
  if (frame === undefined) throw new Error("expected a frame, there is none");
  return packetIn(frame);
}

test.each(FAMILIES)("a request goes to an instance, and its reply comes from the called address: $name", async (f) => {
  const fixture = await onNodeA();
  const request = echo(f.client, f.called, f.request, 77);
  const out = fixture.egress(frame(request));
  expect(out.datagrams.map(({ endpoint }) => endpoint)).toEqual([TO.b]);
  expectPacket(sentPacket(out), from(f.own), to(f.target), validChecksums());
  expect(identifierOf(sentPacket(out))).toBe(77);
  expect(out.counts).toMatchObject({ flowsOpened: 1, egressPackets: 1, policyChoices: 1 });

  const reply = echo(f.answering, f.client, f.reply, 77);
  const back = fixture.ingress({ ...FROM.b, bytes: reply });
  expectPacket(behindHeader(back.tunWrites[0]), from(f.called), to(f.client), validChecksums());
  expect(identifierOf(behindHeader(back.tunWrites[0]))).toBe(77);
  expect(back.counts).toEqual({ ingressPackets: 1, ingressBytes: reply.length });
});

test.each(FAMILIES)(
  "requests with one identifier stay on their instance, those with others need not: $name",
  async (f) => {
    let turn = 0;
    const fixture = await onNodeA({ policy: () => turn++ });
    const send = (identifier: number): string | undefined =>
      fixture.egress(frame(echo(f.client, f.called, f.request, identifier))).datagrams[0]?.endpoint;
    expect([send(1), send(2), send(1), send(2)]).toEqual([TO.b, TO.c, TO.b, TO.c]);
  },
);

test.each(FAMILIES)("two addresses of one instance, pinged with one identifier, are told apart: $name", async (f) => {
  const fixture = await onNodeA();
  fixture.egress(frame(echo(f.client, f.called, f.request, 77)));
  const second = fixture.egress(frame(echo(f.client, f.other, f.request, 77)));
  const identifier = identifierOf(sentPacket(second));
  expect(second.counts).toMatchObject({ portsRewritten: 1 });
  expect(identifier).not.toBe(77);
  expectPacket(sentPacket(second), to(f.target), validChecksums());

  const back = fixture.ingress({ ...FROM.b, bytes: echo(f.answering, f.client, f.reply, identifier) });
  expectPacket(behindHeader(back.tunWrites[0]), from(f.other), validChecksums());
  expect(identifierOf(behindHeader(back.tunWrites[0]))).toBe(77);
});

test.each(FAMILIES)("identifier 0 is an identifier like any other: $name", async (f) => {
  const fixture = await onNodeA();
  expect(fixture.egress(frame(echo(f.client, f.called, f.request, 0))).counts).toMatchObject({ egressPackets: 1 });
  const back = fixture.ingress({ ...FROM.b, bytes: echo(f.answering, f.client, f.reply, 0) });
  expectPacket(behindHeader(back.tunWrites[0]), from(f.called), validChecksums());
});

test.each(FAMILIES)("a workload of the same node answers as any other: $name", async (f) => {
  const fixture = await onNodeA();
  const there = fixture.egress(frame(echo(f.client, f.neighbourInstance, f.request, 5)));
  expectPacket(behindHeader(there.tunWrites[0]), from(f.own), to(f.neighbour), validChecksums());
  const back = fixture.egress(frame(echo(f.neighbour, f.own, f.reply, 5)));
  expectPacket(behindHeader(back.tunWrites[0]), from(f.neighbourInstance), to(f.client), validChecksums());
});

test.each(FAMILIES)("a request from another node is delivered as it is: $name", async (f) => {
  const fixture = await onNodeA();
  const request = echo(f.answering, f.client, f.request, 9);
  const result = fixture.ingress({ ...FROM.b, bytes: request });
  expect(behindHeader(result.tunWrites[0])).toEqual(request);
});

// Its sum is zero, which a difference does not tell from ones (RFC 1624 section 3): its checksum is ones.
test("a reply of nothing but zeros has a right checksum, however its identifier came to be zero", async () => {
  const fixture = await onNodeA();
  const zeros = (src: string, dst: string): Uint8Array =>
    packet()
      .ip(src, dst)
      .icmp({ type: 0, words: [0, 0] })
      .payload(new Uint8Array(56))
      .bytes();
  fixture.egress(frame(echo(A1.v4, ROUND_ROBIN.b.v4, 8, 0)));
  const same = fixture.ingress({ ...FROM.b, bytes: zeros(B1.instanceV4, A1.v4) });
  expectPacket(behindHeader(same.tunWrites[0]), from(ROUND_ROBIN.b.v4), validChecksums());
  // A second ping with that identifier, to the same instance, is told apart by another one on its way.
  const other = fixture.egress(frame(echo(A1.v4, CLOSEST.b.v4, 8, 0)));
  const identifier = identifierOf(sentPacket(other));
  expect(identifier).not.toBe(0);
  const answer = packet()
    .ip(B1.instanceV4, A1.v4)
    .icmp({ type: 0, words: [identifier, 0] })
    .payload(new Uint8Array(56))
    .bytes();
  const changed = fixture.ingress({ ...FROM.b, bytes: answer });
  expectPacket(behindHeader(changed.tunWrites[0]), from(CLOSEST.b.v4), validChecksums());
  expect(identifierOf(behindHeader(changed.tunWrites[0]))).toBe(0);
  // What was wrong stays wrong.
  const wrong = zeros(B1.instanceV4, A1.v4);
  wrong.fill(0, 22, 24);
  const delivered = fixture.ingress({ ...FROM.b, bytes: wrong });
  expect(() => expectPacket(behindHeader(delivered.tunWrites[0]), validChecksums())).toThrow("checksum");
});

test("a checksum that was wrong stays wrong by the same amount", async () => {
  const fixture = await onNodeA();
  const right = echo(A1.v6, ROUND_ROBIN.b.v6, 128, 1);
  const wrong = right.slice();
  wrong[43] = (wrong[43] as number) ^ 1;
  const sent = fixture.egress(frame(right), frame(wrong)).datagrams.map(({ bytes }) => bytes);
  expectPacket(sent[0], validChecksums());
  expect(() => expectPacket(sent[1], validChecksums())).toThrow("transport checksum");
  const off = (a: Uint8Array | undefined, b: Uint8Array | undefined): number =>
    transportChecksum(given(a)) - transportChecksum(given(b));
  expect(off(sent[1], sent[0])).toBe(off(wrong, right));
});

test("a ping that ended is forgotten after its own timeout", async () => {
  const fixture = await onNodeA({ memory: { timeoutsMs: { icmpQuery: 1000 } } });
  fixture.egress(frame(echo(A1.v4, ROUND_ROBIN.b.v4, 8, 1)));
  fixture.ingress({ ...FROM.b, bytes: echo(B1.instanceV4, A1.v4, 0, 1) });
  fixture.advance(999);
  expect(fixture.sweep().counts).toEqual({});
  fixture.advance(1);
  expect(fixture.sweep().counts).toEqual({ flowsExpired: 1 });
});

function frame(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...new Uint8Array(10), ...bytes]);
}
