import { beforeAll, describe, expect, test } from "vitest";
import { Random, testSeed } from "../../support/random.ts";
import { sumWords } from "../../support/reference/checksum.ts";
import { loadWorkbench, type Workbench } from "../../support/workbench.ts";

const LENGTH_MAX = 2048;
const ALIGNMENTS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63];

let workbench: Workbench;

beforeAll(async () => {
  workbench = await loadWorkbench();
});

/** The checksum as it would be stored: the twin's, in the byte order of memory. */
function twin(bytes: Uint8Array): number {
  const checksum = ~sumWords(bytes) & 0xffff;
  return ((checksum & 0xff) << 8) | (checksum >> 8);
}

function place(at: number, bytes: Uint8Array): void {
  workbench.shared.bytes.set(bytes, at);
}

describe("the checksum is the slow twin's", () => {
  test(`at every length from 0 to ${LENGTH_MAX}, at every alignment, whatever lies around it`, () => {
    const random = new Random(testSeed(11));
    const bytes = random.bytes(LENGTH_MAX + 64);
    const expected = Array.from({ length: LENGTH_MAX + 1 }, (_, length) => twin(bytes.subarray(0, length)));
    for (const alignment of ALIGNMENTS) {
      const at = workbench.scratchAt + alignment;
      place(at, bytes);
      const actual = Array.from({ length: LENGTH_MAX + 1 }, (_, length) => workbench.exports.checksum(at, length));
      expect(actual).toEqual(expected);
    }
  });

  test.each([
    ["zeros", 0x00],
    ["ones", 0xff],
    ["0x80", 0x80],
    ["0x01", 0x01],
  ])("over nothing but %s, where carries are all or none", (_what, value) => {
    const bytes = new Uint8Array(65_536).fill(value);
    place(workbench.scratchAt, bytes);
    for (const length of [0, 1, 2, 3, 63, 64, 65, 127, 128, 129, 1500, 9000, 65_471, 65_534, 65_535, 65_536]) {
      expect(workbench.exports.checksum(workbench.scratchAt, length), `length ${length}`).toBe(
        twin(bytes.subarray(0, length)),
      );
    }
  });

  test("over the largest packets", () => {
    const random = new Random(testSeed(12));
    for (let round = 0; round < 50; round++) {
      const bytes = random.bytes(random.between(60_000, 65_535));
      place(workbench.scratchAt + round, bytes);
      expect(workbench.exports.checksum(workbench.scratchAt + round, bytes.length)).toBe(twin(bytes));
    }
  });

  test("a sum of nothing but zeros is zero, a sum of 0xffff is not", () => {
    place(workbench.scratchAt, Uint8Array.of(0, 0, 0xff, 0xff));
    expect(workbench.exports.checksum(workbench.scratchAt, 2)).toBe(0xffff);
    expect(workbench.exports.checksum(workbench.scratchAt, 4)).toBe(0);
  });
});
