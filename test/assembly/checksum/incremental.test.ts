import { beforeAll, expect, test } from "vitest";
import { Random, testSeed } from "../../support/random.ts";
import { incremental, sumWords, words } from "../../support/reference/checksum.ts";
import { loadWorkbench, type Workbench } from "../../support/workbench.ts";

const EDGES = [0, 1, 2, 0x7fff, 0x8000, 0xff00, 0x00ff, 0xfffe, 0xffff];

let workbench: Workbench;

beforeAll(async () => {
  workbench = await loadWorkbench();
});

function swapped(word: number): number {
  return ((word & 0xff) << 8) | (word >> 8);
}

test("a word's update is RFC 1624 equation 3, at every edge", () => {
  for (const checksum of EDGES) {
    for (const before of EDGES) {
      for (const after of EDGES) {
        const expected = incremental(checksum, [before], [after]);
        const message = `HC ${checksum}, m ${before}, m' ${after}`;
        // One's-complement sums are the same in either byte order (RFC 1071 section 2(B)).
        expect(workbench.exports.updateWord(checksum, before, after), message).toBe(expected);
        const inMemory = workbench.exports.updateWord(swapped(checksum), swapped(before), swapped(after));
        expect(inMemory, message).toBe(swapped(expected));
      }
    }
  }
});

test("the example of RFC 1624 section 4", () => {
  expect(workbench.exports.updateWord(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
});

test("a word's update gives what a new checksum over all would", () => {
  const random = new Random(testSeed(21));
  for (let round = 0; round < 20_000; round++) {
    const bytes = random.bytes(2 * random.between(2, 20));
    const checksum = ~sumWords(bytes) & 0xffff;
    const at = 2 * random.below(bytes.length / 2);
    const before = (bytes[at] as number) * 256 + (bytes[at + 1] as number);
    const after = random.below(0x10000);
    bytes[at] = after >> 8;
    bytes[at + 1] = after;
    const expected = ~sumWords(bytes) & 0xffff;
    // 0x0000 and 0xffff are the same number in one's complement.
    expect(workbench.exports.updateWord(checksum, before, after) % 0xffff).toBe(expected % 0xffff);
  }
});

test("an address's update is the update of its eight words", () => {
  const random = new Random(testSeed(22));
  const fromAt = workbench.scratchAt;
  const toAt = workbench.scratchAt + 16;
  for (let round = 0; round < 20_000; round++) {
    const from = random.bytes(16);
    const to = random.chance(0.1) ? from : random.bytes(16);
    if (random.chance(0.3)) {
      // v4-mapped, as most addresses of the tables are
      from.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
      to.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    }
    workbench.shared.bytes.set(from, fromAt);
    workbench.shared.bytes.set(to, toAt);
    const checksum = random.pick([random.below(0x10000), 0, 0xffff]);
    const expected = incremental(checksum, words(from), words(to));
    expect(swapped(workbench.exports.updateAddress(swapped(checksum), fromAt, toAt))).toBe(expected);
  }
});
