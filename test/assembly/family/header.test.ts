// RFC 7915 sections 4.1, 4.5, 5.1 and 5.5: what a packet of one family reads in the other, in place and detached.
import { beforeAll, describe, expect, test } from "vitest";
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { fragmentsOf } from "../../support/fragments.ts";
import { given, nth } from "../../support/given.ts";
import {
  addressBytes,
  corrupt,
  type Ipv4Fields,
  type Ipv6Fields,
  type PacketBuilder,
  packet,
} from "../../support/packet-builder.ts";
import { Random, testSeed } from "../../support/random.ts";
import { loadWorkbench, type Workbench } from "../../support/workbench.ts";

const V4 = { src: "192.0.2.1", dst: "198.51.100.2" };
const V6 = { src: "2001:db8::1", dst: "2001:db8:ffff::2" };
/** Where the packet is in the scratch memory, with room in front. */
const HEADROOM = 64;
const ADDRESSES_AT = 200_000;
const RESULT_AT = 200_100;
const NOT_FRAGMENTED = 0x4000;

let workbench: Workbench;

beforeAll(async () => {
  workbench = await loadWorkbench();
});

/** A packet in the other family with the addresses above, or why not. */
function translate(bytes: Uint8Array, isDetached = false): Uint8Array | string {
  const { exports, shared, scratchAt } = workbench;
  const at = scratchAt + HEADROOM;
  const { src, dst } = (bytes[0] as number) >> 4 === 4 ? V6 : V4;
  shared.bytes.set(bytes, at);
  [src, dst].forEach((address, i) => {
    const raw = addressBytes(address);
    const whole = raw.length === 4 ? [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...raw] : raw;
    shared.bytes.set(whole, scratchAt + ADDRESSES_AT + 16 * i);
  });
  const result = scratchAt + RESULT_AT;
  const reason = exports.translateFamily(at, bytes.length, scratchAt + ADDRESSES_AT, isDetached ? 1 : 0, result);
  if (reason !== DropReason.none) return DropReason[reason] as string;
  const [headAt = 0, headLength = 0, bodyAt = 0, bodyLength = 0] = shared.u32.subarray(result >> 2, (result >> 2) + 4);
  if (isDetached) expect(bodyAt + bodyLength, "end of the payload, which stays").toBe(at + bytes.length);
  return Buffer.concat([
    shared.bytes.slice(headAt, headAt + headLength),
    shared.bytes.slice(bodyAt, bodyAt + bodyLength),
  ]);
}

function expectSame(actual: Uint8Array | string, expected: Uint8Array, what = ""): void {
  const hex = (bytes: Uint8Array | string): string =>
    typeof bytes === "string" ? bytes : Buffer.from(bytes).toString("hex");
  expect(hex(actual), what).toBe(hex(expected));
}

/** The identification of a packet that was made of an IPv6 one is the translator's: taken over to compare the rest. */
function withIdOf(actual: Uint8Array | string, fields: Ipv4Fields, rest: Rest): Uint8Array {
  if (typeof actual === "string") throw new Error(`refused: ${actual}`);
  return rest(packet().ipv4({ ...fields, id: Buffer.from(actual).readUInt16BE(4) })).bytes();
}

type Rest = (start: PacketBuilder) => PacketBuilder;

/** Upper layers whose bytes are the same in both families but for the checksum. */
const CONTENTS: readonly [name: string, rest: Rest][] = [
  ["TCP", (start) => start.tcp({ sport: 1, dport: 2, options: [2, 4, 5, 180] }).payload("some text")],
  ["TCP without payload", (start) => start.tcp({ sport: 40_000, dport: 80 })],
  ["UDP", (start) => start.udp({ sport: 53, dport: 5353 }).payload("odd")],
  ["UDP without payload", (start) => start.udp({ sport: 53, dport: 5353 })],
  ["SCTP", (start) => start.protocol(132).payload(40)],
  ["GRE", (start) => start.protocol(47).payload(24)],
  ["ESP", (start) => start.protocol(50).payload(33)],
];
const ECHOES = [
  ["request", 8, 128],
  ["reply", 0, 129],
] as const;

describe.each([
  ["in place", false],
  ["detached", true],
])("%s", (_where, isDetached) => {
  test.each(CONTENTS)("%s is the same in both families", (_name, rest) => {
    const v4 = rest(packet().ipv4({ ...V4, fragment: NOT_FRAGMENTED })).bytes();
    const v6 = rest(packet().ipv6(V6)).bytes();
    expectSame(translate(v4, isDetached), v6);
    const back = translate(v6, isDetached);
    expectSame(back, withIdOf(back, { ...V4, fragment: 0 }, rest));
  });

  test.each(ECHOES)("an echo %s has another type and checksum", (_name, type, typeV6) => {
    const v4 = packet()
      .ipv4(V4)
      .icmp({ type, words: [0x1234, 7] })
      .payload("ping, an odd number")
      .bytes();
    const v6 = packet()
      .ipv6(V6)
      .icmp({ type: typeV6, words: [0x1234, 7] })
      .payload("ping, an odd number")
      .bytes();
    expectSame(translate(v4, isDetached), v6);
    const back = translate(v6, isDetached);
    const rest: Rest = (start) => start.icmp({ type, words: [0x1234, 7] }).payload("ping, an odd number");
    expectSame(back, withIdOf(back, { ...V4, fragment: 0 }, rest));
  });

  test("every TOS is the traffic class, every TTL the hop limit", () => {
    const [, rest] = CONTENTS[0] as (typeof CONTENTS)[number];
    for (let value = 0; value < 256; value++) {
      const v4 = rest(packet().ipv4({ ...V4, tos: value, ttl: 255 - value })).bytes();
      const v6 = rest(packet().ipv6({ ...V6, trafficClass: value, hopLimit: 255 - value })).bytes();
      expectSame(translate(v4, isDetached), v6);
      const back = translate(v6, isDetached);
      expectSame(back, withIdOf(back, { ...V4, tos: value, ttl: 255 - value, fragment: 0 }, rest));
    }
  });

  test("fragments stay fragments: offset, more, and the identification's low 16 bits", () => {
    const whole4 = packet().ipv4(V4).udp({ sport: 1, dport: 2 }).payload(3000).bytes();
    const whole6 = packet().ipv6(V6).udp({ sport: 1, dport: 2 }).payload(3000).bytes();
    const id = 0xbeef;
    const fragments4 = fragmentsOf(whole4, 1024, id);
    const fragments6 = fragmentsOf(whole6, 1024, id);
    fragments4.forEach((fragment, i) => {
      expectSame(translate(fragment, isDetached), nth(fragments6, i), `fragment ${i} to IPv6`);
    });
    fragmentsOf(whole6, 1024, 0xdead_beef).forEach((fragment, i) => {
      expectSame(translate(fragment, isDetached), nth(fragments4, i), `fragment ${i} to IPv4`);
    });
  });
});

test("identifications count up, so that packets that may be fragmented can be told apart", () => {
  const v6 = packet().ipv6(V6).udp({ sport: 1, dport: 2 }).bytes();
  const ids = Array.from({ length: 3 }, () => Buffer.from(given(translate(v6))).readUInt16BE(4));
  expect(ids.map((id) => (id - (ids[0] as number)) & 0xffff)).toEqual([0, 1, 2]);
});

test.each([
  [1260, false],
  [1261, true],
])("an IPv4 packet of %i bytes that was IPv6 forbids fragments: %s", (size, isForbidden) => {
  const v6 = packet()
    .ipv6(V6)
    .udp({ sport: 1, dport: 2 })
    .payload(size - 28)
    .bytes();
  const v4 = given(translate(v6));
  expect(v4.length).toBe(size);
  expect(((v4[6] as number) & 0x40) !== 0).toBe(isForbidden);
});

test("one fragment that is the whole packet keeps its identification and may be fragmented again", () => {
  const extensions = [{ type: 44, bytes: [0, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd] }];
  const v6 = packet()
    .ipv6({ ...V6, extensions })
    .udp({ sport: 1, dport: 2 })
    .payload(1400)
    .bytes();
  const v4 = packet()
    .ipv4({ ...V4, id: 0xccdd, fragment: 0 })
    .udp({ sport: 1, dport: 2 })
    .payload(1400)
    .bytes();
  expectSame(translate(v6), v4);
});

test("a UDP checksum of zero is computed for IPv6, and stays zero for IPv4", () => {
  const v4 = packet().ipv4(V4).udp({ sport: 1, dport: 2, checksum: 0 }).payload("odd").bytes();
  expectSame(translate(v4), packet().ipv6(V6).udp({ sport: 1, dport: 2 }).payload("odd").bytes());
  const v6 = packet().ipv6(V6).udp({ sport: 1, dport: 2, checksum: 0 }).payload("odd").bytes();
  const rest: Rest = (start) => start.udp({ sport: 1, dport: 2, checksum: 0 }).payload("odd");
  const back = translate(v6);
  expectSame(back, withIdOf(back, { ...V4, fragment: 0 }, rest));
});

test("IPv4 options are left out", () => {
  const options = [0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0]; // router alert, record route
  const v4 = packet()
    .ipv4({ ...V4, options })
    .tcp({ sport: 1, dport: 2 })
    .payload("x")
    .bytes();
  expectSame(translate(v4), packet().ipv6(V6).tcp({ sport: 1, dport: 2 }).payload("x").bytes());
});

test("IPv6 options, a routing header at its end and the flow label are left out", () => {
  const extensions = [
    { type: 0, bytes: [0, 0, 1, 4, 0, 0, 0, 0] },
    { type: 60, bytes: [0, 0, 1, 4, 0, 0, 0, 0] },
    { type: 43, bytes: [0, 2, 4, 0, ...Array<number>(20).fill(0)] },
  ];
  const fields: Ipv6Fields = { ...V6, flowLabel: 0xabcde, extensions };
  const v6 = packet().ipv6(fields).tcp({ sport: 1, dport: 2 }).payload("x").bytes();
  const back = translate(v6);
  expectSame(
    back,
    withIdOf(back, { ...V4, fragment: 0 }, (start) => start.tcp({ sport: 1, dport: 2 }).payload("x")),
  );
});

describe("what the other family cannot carry is refused", () => {
  const tcp: Rest = (start) => start.tcp({ sport: 1, dport: 2 });
  const unsummed = packet().ipv4(V4).udp({ sport: 1, dport: 2, checksum: 0 }).payload(2000).bytes();
  const echo4 = packet().ipv4(V4).icmp({ type: 8 }).payload(2000).bytes();
  const echo6 = packet().ipv6(V6).icmp({ type: 128 }).payload(2000).bytes();
  const sourceRoute = (type: number, pointer: number) =>
    tcp(packet().ipv4({ ...V4, options: [1, type, 7, pointer, 192, 0, 2, 9] })).bytes();
  const routing = (segmentsLeft: number) =>
    tcp(packet().ipv6({ ...V6, extensions: [{ type: 43, bytes: [0, 0, 4, segmentsLeft, 0, 0, 0, 0] }] })).bytes();
  const behind = (type: number) =>
    packet()
      .ipv6({
        ...V6,
        extensions: [
          { type, bytes: [0, type === 51 ? 1 : 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].slice(0, type === 51 ? 12 : 8) },
        ],
      })
      .tcp({ sport: 1, dport: 2 })
      .bytes();

  test.each([
    ["a loose source route that goes on", "sourceRoute", sourceRoute(131, 4)],
    ["a strict source route that goes on", "sourceRoute", sourceRoute(137, 4)],
    ["a routing header that goes on", "sourceRoute", routing(1)],
    ["a wrong header checksum", "badHeaderChecksum", corrupt(tcp(packet().ipv4(V4)).bytes(), 8, 3)],
    ["an authentication header of IPv4", "notTranslatable", packet().ipv4(V4).protocol(51).payload(24).bytes()],
    ["an authentication header of IPv6", "notTranslatable", behind(51)],
    ["a mobility header", "notTranslatable", behind(135)],
    [
      "a protocol that is an extension header in IPv6",
      "notTranslatable",
      packet().ipv4(V4).protocol(60).payload(24).bytes(),
    ],
    ["a fragment of UDP without a checksum", "notTranslatable", fragmentsOf(unsummed, 1024, 1)[0]],
    ["the first fragment of an ICMP echo", "notTranslatable", fragmentsOf(echo4, 1024, 1)[0]],
    ["a later fragment of an ICMP echo", "notTranslatable", fragmentsOf(echo4, 1024, 1)[1]],
    ["the first fragment of an ICMPv6 echo", "notTranslatable", fragmentsOf(echo6, 1024, 1)[0]],
    ["a later fragment of an ICMPv6 echo", "notTranslatable", fragmentsOf(echo6, 1024, 1)[1]],
    [
      "a payload that IPv4's length does not hold",
      "notTranslatable",
      packet().ipv6(V6).protocol(47).payload(65_516).bytes(),
    ],
  ] as const)("%s: %s", (_what, reason, bytes) => {
    expect(translate(given(bytes))).toBe(reason);
  });

  test.each([
    ["a source route at its end", sourceRoute(131, 8)],
    ["a routing header at its end", routing(0)],
  ])("but not %s", (_what, bytes) => {
    expect(translate(bytes)).toBeInstanceOf(Uint8Array);
  });
});

test("a wrong transport checksum stays wrong by the same difference", () => {
  const good = packet().ipv4(V4).tcp({ sport: 1, dport: 2 }).payload("corrupt me").bytes();
  const broken = corrupt(good, good.length - 3, 0x12);
  const [fromGood, fromBroken] = [translate(good), translate(broken)] as [Uint8Array, Uint8Array];
  expect(fromBroken.slice(56, 58)).toEqual(fromGood.slice(56, 58));
  expect(fromBroken.at(-3)).toBe(0x12);
});

test("there and back is the packet again, for random ones", () => {
  const random = new Random(testSeed(64));
  for (let round = 0; round < 20_000; round++) {
    const fields = { ...V4, tos: random.below(256), ttl: random.between(1, 255), fragment: 0 };
    const [, rest] = CONTENTS[random.below(4)] as (typeof CONTENTS)[number];
    const payload = random.bytes(random.below(1200));
    const v4 = rest(packet().ipv4(fields)).payload(payload);
    const bytes = v4.bytes();
    const v6 = translate(bytes, random.chance(0.5));
    if (typeof v6 === "string") throw new Error(v6);
    const back = translate(v6, random.chance(0.5));
    expectSame(
      back,
      withIdOf(back, fields, (start) => rest(start).payload(payload)),
      `round ${round}`,
    );
  }
});
