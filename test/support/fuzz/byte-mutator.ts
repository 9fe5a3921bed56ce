// Makes mutants of texts and files: of one seed, with parts of another one, with words that the reader knows.
import type { Random } from "../random.ts";

/** Longer mutants take the time of many short ones. */
const MUTANT_MAX = 65_536;
const DEPTH_MAX = 20_000;
const REPEAT_MAX = 3000;
const NUMBERS = [0, 1, -1, 127, 128, 255, 256, 32_767, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const NUMBER_TEXTS = ["-1", "0", "1e999", "4294967296", "9007199254740993", "0x10", "00", "1.5", "65536", "NaN"];
const NESTS = ["[", "{", '{"a":', "[{", "- ", "(", "&a [", '"a":[', "\u{1}"];
const TEXTS = ["null", "true", "{}", "[]", '""', "__proto__", "constructor", "\0", "\u202e", "\ud800", "é", "\r\n"];

export class ByteMutator {
  constructor(private readonly words: readonly string[]) {}

  /** `other` is any other seed. */
  mutate(seed: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
    let bytes: Buffer = Buffer.from(seed);
    for (let left = random.between(1, 4); left > 0; left--) bytes = this.step(bytes, other, random);
    return bytes.subarray(0, MUTANT_MAX);
  }

  private step(bytes: Buffer, other: Uint8Array, random: Random): Buffer {
    const at = random.below(bytes.length + 1);
    const end = Math.min(bytes.length, at + random.below(random.chance(0.8) ? 16 : bytes.length + 1));
    switch (random.below(11)) {
      case 0:
        return changed(bytes, at, (value) => value ^ (1 << random.below(8)));
      case 1:
        return changed(bytes, at, () => random.below(256));
      case 2:
        return withNumber(bytes, at, random);
      case 3:
        return replaced(bytes, at, end, Buffer.alloc(0));
      case 4: {
        const times = random.chance(0.9) ? random.between(1, 4) : random.below(REPEAT_MAX);
        const part = bytes.subarray(at, end);
        return replaced(bytes, end, end, Buffer.alloc(Math.min(part.length * times, MUTANT_MAX), part));
      }
      case 5: {
        const from = random.below(other.length + 1);
        const length = random.below(random.chance(0.7) ? 64 : other.length + 1);
        return replaced(bytes, at, end, other.subarray(from, from + length));
      }
      case 6:
        return bytes.subarray(0, at);
      case 7:
        return replaced(bytes, at, end, Buffer.from(random.pick([...this.words, ...TEXTS])));
      case 8: {
        const depth = random.chance(0.9) ? random.between(1, 5) : random.below(DEPTH_MAX);
        return replaced(bytes, at, at, Buffer.from(random.pick(NESTS).repeat(depth)));
      }
      case 9:
        return withOtherValue(bytes, at, random);
      default:
        return replaced(bytes, at, end, Buffer.from(random.bytes(random.below(12))));
    }
  }
}

function changed(bytes: Buffer, at: number, change: (value: number) => number): Buffer {
  if (at < bytes.length) bytes[at] = change(bytes[at] as number);
  return bytes;
}

function replaced(bytes: Buffer, at: number, end: number, by: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(end)]);
}

function withNumber(bytes: Buffer, at: number, random: Random): Buffer {
  const [value, size] = [random.pick(NUMBERS), random.pick([1, 2, 4])];
  if (at + size > bytes.length) return bytes;
  const within = (value >>> 0) % 2 ** (8 * size);
  if (random.chance(0.5)) bytes.writeUIntLE(within, at, size);
  else bytes.writeUIntBE(within, at, size);
  return bytes;
}

/** Of a text: the next number, or what stands in quotes, becomes another value of any type. */
function withOtherValue(bytes: Buffer, at: number, random: Random): Buffer {
  const text = bytes.toString("latin1");
  const rest = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?/.exec(text.slice(at));
  if (rest === null) return bytes;
  const by = random.chance(0.6) ? random.pick(NUMBER_TEXTS) : random.pick(TEXTS);
  return replaced(bytes, at + rest.index, at + rest.index + rest[0].length, Buffer.from(by));
}
