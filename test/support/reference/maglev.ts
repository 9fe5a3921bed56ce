// The slow twin of assembly/policy/consistent-hash.ts: lists written out, and arithmetic without limits.

import type { Candidate } from "../policies.ts";

const ENTRY_COUNT = 65_537;
const WORD = (1n << 64n) - 1n;

/** Instance number per entry. All candidates must be eligible. */
export function maglevTable(candidates: readonly Candidate[]): Uint32Array {
  const members = candidates.toSorted((a, b) => a.instance - b.instance);
  const weights = members.map(({ weight }) => BigInt(weight ?? 1));
  const weightUpTo = (end: number): bigint => weights.slice(0, end).reduce((sum, weight) => sum + weight, 0n);
  const entriesUpTo = (end: number): number =>
    Number((weightUpTo(end) * BigInt(ENTRY_COUNT)) / weightUpTo(members.length));
  const rounds = Math.ceil(ENTRY_COUNT / members.length);
  const seats = members.map(({ instance }, i) => ({
    instance,
    wishes: wishesOf(instance),
    share: entriesUpTo(i + 1) - entriesUpTo(i),
    got: 0,
  }));
  const table = new Int32Array(ENTRY_COUNT).fill(-1);
  for (let round = 1; round <= rounds; round += 1) {
    for (const seat of seats) {
      for (; seat.got < Math.ceil((round * seat.share) / rounds); seat.got += 1) {
        let entry = seat.wishes();
        while (table[entry] !== -1) entry = seat.wishes();
        table[entry] = seat.instance;
      }
    }
  }
  return Uint32Array.from(table);
}

/** An instance's permutation of the entries, one by one. */
function wishesOf(instance: number): () => number {
  const random = splitmix64(BigInt(instance));
  const offset = Number(random & 0xffff_ffffn) % ENTRY_COUNT;
  const skip = (Number(random >> 32n) % (ENTRY_COUNT - 1)) + 1;
  let place = 0;
  return () => (offset + skip * place++) % ENTRY_COUNT;
}

function splitmix64(value: bigint): bigint {
  let h = (value + 0x9e3779b97f4a7c15n) & WORD;
  h = ((h ^ (h >> 30n)) * 0xbf58476d1ce4e5b9n) & WORD;
  h = ((h ^ (h >> 27n)) * 0x94d049bb133111ebn) & WORD;
  return h ^ (h >> 31n);
}
