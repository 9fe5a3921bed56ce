// RFC 7915's tables of ICMP types, codes, pointers and MTUs, row by row; whatever has no row has no counterpart.
import { beforeAll, describe, expect, test } from "vitest";
import { loadWorkbench, type Workbench } from "../../support/workbench.ts";

interface Message {
  readonly type: number;
  readonly code: number;
  /** The word behind the checksum. */
  readonly word: number;
}

/** Type, code and word of one family and of the other. */
type Row = readonly [type: number, code: number, word: number, toType: number, toCode: number, toWord: number];

const POINTER_V4 = 0x100_0000;

/** Section 4.2. */
const FROM_V4: readonly Row[] = [
  ...[0, 1, 5, 6, 7, 8, 11, 12].map((code): Row => [3, code, 0, 1, 0, 0]),
  [3, 2, 0, 4, 1, 6],
  [3, 3, 0, 1, 4, 0],
  ...[9, 10, 13, 15].map((code): Row => [3, code, 0, 1, 1, 0]),
  [3, 4, 1400, 2, 0, 1420],
  [3, 4, 1260, 2, 0, 1280],
  [3, 4, 1259, 2, 0, 1280],
  [3, 4, 68, 2, 0, 1280],
  [3, 4, 65_535, 2, 0, 65_555],
  [11, 0, 0, 3, 0, 0],
  [11, 1, 0, 3, 1, 0],
  // Figure 3
  ...(
    [
      [0, 0],
      [1, 1],
      [2, 4],
      [3, 4],
      [8, 7],
      [9, 6],
      ...[12, 13, 14, 15].map((at) => [at, 8] as const),
      ...[16, 17, 18, 19].map((at) => [at, 24] as const),
    ] as const
  ).flatMap(([from, to]): Row[] => [
    [12, 0, from * POINTER_V4, 4, 0, to],
    [12, 2, from * POINTER_V4, 4, 0, to],
  ]),
];

/** Section 5.2. */
const FROM_V6: readonly Row[] = [
  ...[0, 2, 3].map((code): Row => [1, code, 0, 3, 1, 0]),
  [1, 1, 0, 3, 10, 0],
  [1, 4, 0, 3, 3, 0],
  [2, 0, 1280, 3, 4, 1260],
  [2, 0, 1420, 3, 4, 1400],
  [2, 0, 65_555, 3, 4, 65_535],
  [2, 0, 0xffff_ffff, 3, 4, 65_535],
  [2, 0, 10, 3, 4, 68],
  [3, 0, 0, 11, 0, 0],
  [3, 1, 0, 11, 1, 0],
  [4, 1, 6, 3, 2, 0],
  // Figure 6
  ...(
    [
      [0, 0],
      [1, 1],
      [4, 2],
      [5, 2],
      [6, 9],
      [7, 8],
      ...Array.from({ length: 16 }, (_, i) => [8 + i, 12] as const),
      ...Array.from({ length: 16 }, (_, i) => [24 + i, 16] as const),
    ] as const
  ).map(([from, to]): Row => [4, 0, from, 12, 0, to * POINTER_V4]),
];

const FAMILIES = [
  { from: "ICMP", to: "ICMPv6", isV4: 1, rows: FROM_V4 },
  { from: "ICMPv6", to: "ICMP", isV4: 0, rows: FROM_V6 },
];

let workbench: Workbench;

beforeAll(async () => {
  workbench = await loadWorkbench();
});

function counterpart(isV4: number, message: Message, quotedLength = 1500, linkMtu = 0): Message | undefined {
  const { type, code, word } = message;
  const packed = workbench.exports.icmpCounterpart(isV4, type, code, word, quotedLength, linkMtu);
  if (packed === 0n) return undefined;
  return { type: Number(packed >> 40n), code: Number((packed >> 32n) & 0xffn), word: Number(packed & 0xffff_ffffn) };
}

describe.each(FAMILIES)("$from to $to", ({ isV4, rows }) => {
  test.each(rows)("type %i code %i word %i is type %i code %i word %i", (type, code, word, toType, toCode, toWord) => {
    expect(counterpart(isV4, { type, code, word })).toEqual({ type: toType, code: toCode, word: toWord });
  });

  test("no other type or code has a counterpart", () => {
    const known = new Set(rows.map(([type, code]) => `${type} ${code}`));
    // Any code of "time exceeded" passes, and no code of "packet too big" means anything.
    const anyCode = isV4 === 1 ? [11] : [2, 3];
    for (let type = 0; type < 256; type++) {
      if (anyCode.includes(type)) continue;
      for (let code = 0; code < 256; code++) {
        if (known.has(`${type} ${code}`)) continue;
        expect(counterpart(isV4, { type, code, word: 0 }), `type ${type} code ${code}`).toBeUndefined();
      }
    }
  });

  test("no other byte can be pointed at", () => {
    const type = isV4 === 1 ? 12 : 4;
    const unit = isV4 === 1 ? POINTER_V4 : 1;
    const known = new Set(rows.filter(([of]) => of === type).map(([, , word]) => word));
    for (let pointer = 0; pointer < 256; pointer++) {
      if (known.has(pointer * unit)) continue;
      expect(counterpart(isV4, { type, code: 0, word: pointer * unit }), `pointer ${pointer}`).toBeUndefined();
    }
  });
});

test.each([
  [65_535, 32_020],
  [32_001, 32_020],
  [32_000, 17_934],
  [17_914, 8186],
  [8166, 4372],
  [4352, 2022],
  [2002, 1512],
  [1492, 1280],
])("a router that tells no MTU and could not forward %i bytes means %i", (quotedLength, mtu) => {
  expect(counterpart(1, { type: 3, code: 4, word: 0 }, quotedLength)?.word).toBe(mtu);
});

test.each([
  { isV4: 1, message: { type: 3, code: 4, word: 1480 }, linkMtu: 1450, mtu: 1450 },
  { isV4: 1, message: { type: 3, code: 4, word: 1400 }, linkMtu: 1450, mtu: 1420 },
  { isV4: 0, message: { type: 2, code: 0, word: 9000 }, linkMtu: 1450, mtu: 1450 },
  { isV4: 0, message: { type: 2, code: 0, word: 1400 }, linkMtu: 1450, mtu: 1380 },
])("the MTU of the link to the receiver bounds what it is told: $message.word, $mtu", (row) => {
  expect(counterpart(row.isV4, row.message, 1500, row.linkMtu)?.word).toBe(row.mtu);
});
