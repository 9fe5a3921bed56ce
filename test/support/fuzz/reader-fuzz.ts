// Mutants of what a reader takes, kept when they make it run what never ran before. Everything but the time that a case
// takes follows from the seed.
import { Random } from "../random.ts";
import { ByteMutator } from "./byte-mutator.ts";
import { Fault, type Reader } from "./reader.ts";
import { hasRun, type Parts, SourceCoverage } from "./source-coverage.ts";

/** Cases between two looks at what ran. */
const LOOK = 32;
/** Of processor time, for one case: thousands of times what it takes. */
const CPU_LIMIT_MS = 4000;
/** Of a case that is kept for what it runs: to take away single bytes costs more than they do. */
const PART_MIN = 4;
const HEAP_LIMIT_BYTES = 2 ** 30;

interface ReaderRound {
  readonly cases: number;
  /** Parts of the sources that ran. */
  readonly parts: number;
  /** Mutants that made something new run. */
  readonly kept: readonly Uint8Array[];
}

/** A case that a reader neither takes nor refuses, or that costs too much. */
export class FoundCase extends Error {
  constructor(
    readonly reader: string,
    readonly input: Uint8Array,
    cause: unknown,
  ) {
    super(`${reader}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** `corpus` are mutants that were kept before. Throws a FoundCase, minimized. */
export async function fuzzReader(
  reader: Reader,
  { seed, cases, corpus = [] }: { seed: number; cases: number; corpus?: readonly Uint8Array[] },
): Promise<ReaderRound> {
  const random = new Random(seed);
  const mutator = new ByteMutator(reader.words);
  const inputs = [...reader.seeds, ...corpus];
  const kept: Uint8Array[] = [];
  const coverage = new SourceCoverage();
  try {
    for (const input of inputs) await attempt(reader, input);
    coverage.add(coverage.look());
    for (let done = 0; done < cases; done += LOOK) {
      const mutants = Array.from({ length: LOOK }, () => {
        return mutator.mutate(random.pick(inputs), random.pick(inputs), random);
      });
      for (const mutant of mutants) await attempt(reader, mutant);
      if (coverage.newIn(coverage.look()).size === 0) continue;
      // One of them did it; which one shows when each runs by itself.
      for (const mutant of mutants) {
        await attempt(reader, mutant);
        const look = coverage.look();
        if (coverage.newIn(look).size === 0) continue;
        coverage.add(look);
        kept.push(mutant);
        inputs.push(mutant);
      }
    }
    return { cases, parts: coverage.size, kept };
  } finally {
    coverage.close();
  }
}

/** Of the mutants those that make something run that no other does, each without the parts that it does not need. */
export async function smallest(reader: Reader, mutants: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const coverage = new SourceCoverage();
  try {
    const lookAt = async (input: Uint8Array): Promise<Parts> => {
      coverage.look();
      await attempt(reader, input);
      return coverage.look();
    };
    for (const seed of reader.seeds) coverage.add(await lookAt(seed));
    const found: Uint8Array[] = [];
    for (const mutant of mutants) {
      const fresh = coverage.newIn(await lookAt(mutant));
      if (fresh.size === 0) continue;
      const runsThem = async (shorter: Uint8Array): Promise<boolean> => hasRun(await lookAt(shorter), fresh);
      const least = await minimized(mutant, runsThem, PART_MIN);
      found.push(least);
      coverage.add(await lookAt(least));
    }
    return found;
  } finally {
    coverage.close();
  }
}

/** Throws a FoundCase. */
export async function attempt(reader: Reader, input: Uint8Array): Promise<void> {
  const fault = await faultOf(reader, input);
  if (fault === undefined) return;
  const isSame = async (shorter: Uint8Array): Promise<boolean> => {
    return (await faultOf(reader, shorter))?.message === fault.message;
  };
  throw new FoundCase(reader.name, await minimized(input, isSame), fault);
}

/** What an input brings about that none may; undefined: it is taken or refused. */
export async function faultOf(reader: Reader, input: Uint8Array): Promise<Error | undefined> {
  const before = process.cpuUsage();
  try {
    await reader.read(input);
  } catch (error) {
    return error instanceof Error ? error : new Fault(String(error));
  }
  const { user, system } = process.cpuUsage(before);
  if ((user + system) / 1000 > CPU_LIMIT_MS) return new Fault(`more than ${CPU_LIMIT_MS} ms`);
  return process.memoryUsage().heapUsed > HEAP_LIMIT_BYTES ? new Fault("a heap that grows") : undefined;
}

/** The input without the parts that `isSame` does not need: halves first, then ever smaller parts. */
async function minimized(
  input: Uint8Array,
  isSame: (shorter: Uint8Array) => Promise<boolean>,
  partMin = 1,
): Promise<Uint8Array> {
  let least = input;
  for (let part = Math.ceil(least.length / 2); part >= partMin; part = Math.floor(part / 2)) {
    for (let at = 0; at < least.length; ) {
      const shorter = Buffer.concat([least.subarray(0, at), least.subarray(at + part)]);
      if (await isSame(shorter)) least = shorter;
      else at += part;
    }
  }
  return least;
}
