// The instructions of a function, passed over one by one, to see that it uses only what is allowed: what WebAssembly
// 2.0 has, tail calls, and atomics for the engine (core specification, section 5.4, and the threads proposal). All
// else is refused, whatever the runtime may take by then: exceptions, garbage collection, several memories ...
// V8 checks the types; here only the forms count.

import { type Cursor, Malformed } from "./wasm-reader.ts";

/** What a kind of module may do. */
export interface CodeRules {
  readonly mayGrowMemory: boolean;
  readonly mayUseAtomics: boolean;
}

/** The blocks of a function decide, together with its locals, what its compilation takes. */
interface CodeFindings {
  readonly blocks: number;
  readonly depth: number;
}

export const TYPES_MAX = 1000;
const BRANCHES_MAX = 4096; // of a br_table

const [BLOCK, LOOP, IF, END] = [0x02, 0x03, 0x04, 0x0b];
const BLOCK_EMPTY = 0x40;
/** memory.size and memory.grow name their memory, the first and only one. */
const MEMORY_GROW = 0x40;
const TABLE_GROW = 15;

/** What follows an opcode of one byte. Those that are not here are not allowed. */
type Immediate =
  | "none"
  | "block"
  | "index"
  | "two"
  | "branches"
  | "memarg"
  | "number"
  | "f32"
  | "f64"
  | "zero"
  | "types"
  | "reference";

const IMMEDIATES: readonly (Immediate | undefined)[] = immediates([
  ["none", 0x00, 0x01],
  ["block", 0x02, 0x04],
  ["none", 0x05],
  ["none", END],
  ["index", 0x0c, 0x0d], // br, br_if
  ["branches", 0x0e],
  ["none", 0x0f], // return
  ["index", 0x10], // call
  ["two", 0x11], // call_indirect
  ["index", 0x12], // return_call
  ["two", 0x13],
  ["none", 0x1a, 0x1b], // drop, select
  ["types", 0x1c],
  ["index", 0x20, 0x26], // locals, globals, table.get, table.set
  ["memarg", 0x28, 0x3e],
  ["zero", 0x3f, 0x40],
  ["number", 0x41, 0x42],
  ["f32", 0x43],
  ["f64", 0x44],
  ["none", 0x45, 0xc4],
  ["reference", 0xd0], // ref.null
  ["none", 0xd1],
  ["index", 0xd2],
]);

/** Of those after 0xfc: conversions, and memory and tables in bulk. */
const BULK: readonly (Immediate | undefined)[] = immediates([
  ["none", 0, 7],
  ["two", 8], // memory.init
  ["index", 9],
  ["two", 10],
  ["index", 11],
  ["two", 12], // table.init
  ["index", 13],
  ["two", 14],
  ["index", 16, 17], // table.size, table.fill
]);

/** Of those after 0xfd, without the relaxed ones, whose answers depend on the machine. Lanes follow the address. */
const SIMD_LAST = 0xff;
const SIMD_CONST = 12;
const SIMD_SHUFFLE = 13;
const SIMD_BYTES = 16;

/** Of those after 0xfe: waking and waiting, a fence, and from 0x10 on what reads and writes. */
const [ATOMIC_WAIT_LAST, ATOMIC_FENCE, ATOMIC_FIRST, ATOMIC_LAST] = [0x02, 0x03, 0x10, 0x4e];

/** Passes over the instructions up to the `end` that closes them. */
export function readCode(code: Cursor, rules: CodeRules): CodeFindings {
  let [blocks, depth, deepest] = [0, 1, 1];
  while (depth > 0) {
    const opcode = code.byte();
    if (opcode === BLOCK || opcode === LOOP || opcode === IF) {
      blocks += 1;
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (opcode === END) depth -= 1;
    else if (opcode === MEMORY_GROW && !rules.mayGrowMemory) throw new Malformed("memory.grow");
    readInstruction(code, opcode, rules);
  }
  return { blocks, depth: deepest };
}

function readInstruction(code: Cursor, opcode: number, { mayUseAtomics }: CodeRules): void {
  if (opcode === 0xfc) {
    const bulk = code.u32();
    if (bulk === TABLE_GROW) throw new Malformed("table.grow");
    readImmediate(code, BULK[bulk], `0xfc ${bulk}`);
  } else if (opcode === 0xfd) readSimd(code, code.u32());
  else if (opcode === 0xfe && mayUseAtomics) readAtomic(code, code.u32());
  else readImmediate(code, IMMEDIATES[opcode], `0x${opcode.toString(16)}`);
}

function readImmediate(code: Cursor, immediate: Immediate | undefined, name: string): void {
  switch (immediate) {
    case undefined:
      throw new Malformed(`an instruction that is not allowed (${name})`);
    case "none":
      return;
    case "block":
      readBlockType(code);
      return;
    case "reference":
      code.referenceType();
      return;
    case "zero":
      if (code.byte() !== 0) throw new Malformed("more than one memory");
      return;
    case "index":
    case "number":
      code.skipNumber();
      return;
    case "two":
      code.skipNumber();
      code.skipNumber();
      return;
    case "memarg":
      readAddress(code);
      return;
    case "f32":
      code.skip(4);
      return;
    case "f64":
      code.skip(8);
      return;
    case "types":
      for (let left = code.u32(); left > 0; left--) code.type();
      return;
    case "branches": {
      const count = code.u32();
      if (count > BRANCHES_MAX) throw new Malformed(`a br_table of ${count} branches`);
      for (let left = count; left >= 0; left--) code.skipNumber();
    }
  }
}

/** Nothing, a type, or the index of one. A type is a negative number of one byte: 0x40 to 0x7f. */
function readBlockType(code: Cursor): void {
  const first = code.bytes[code.at] ?? 0;
  if (first === BLOCK_EMPTY) code.skip(1);
  else if (first > BLOCK_EMPTY && first < 0x80) code.type();
  else if (code.u32() >= TYPES_MAX) throw new Malformed("a block of a type that is not allowed");
}

/** Alignment and offset. Bit 6 of the alignment would name another memory. */
function readAddress(code: Cursor): void {
  if (code.u32() >= 0x40) throw new Malformed("more than one memory");
  code.skipNumber();
}

function readSimd(code: Cursor, opcode: number): void {
  if (opcode > SIMD_LAST) throw new Malformed(`an instruction that is not allowed (0xfd ${opcode})`);
  if (opcode === SIMD_CONST || opcode === SIMD_SHUFFLE) code.skip(SIMD_BYTES);
  const hasAddress = opcode <= 11 || (opcode >= 84 && opcode <= 93);
  if (hasAddress) readAddress(code);
  const hasLane = (opcode >= 21 && opcode <= 34) || (opcode >= 84 && opcode <= 91);
  if (hasLane) code.skip(1);
}

function readAtomic(code: Cursor, opcode: number): void {
  if (opcode === ATOMIC_FENCE) code.skip(1);
  else if (opcode <= ATOMIC_WAIT_LAST || (opcode >= ATOMIC_FIRST && opcode <= ATOMIC_LAST)) readAddress(code);
  else throw new Malformed(`an instruction that is not allowed (0xfe ${opcode})`);
}

/** A table by opcode, from ranges of opcodes. */
function immediates(ranges: readonly (readonly [Immediate, number, number?])[]): readonly (Immediate | undefined)[] {
  const table = new Array<Immediate | undefined>(0x100).fill(undefined);
  for (const [immediate, first, last = first] of ranges) table.fill(immediate, first, last + 1);
  return table;
}
