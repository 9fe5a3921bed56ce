// What a module may come to cost, read from its bytes before anything compiles or runs it: memory and tables, and how
// much there is of everything that is compiled or kept. What cannot be bounded is refused. Checks the form of what is
// exported as well, since only the bytes tell a function's signature.
// Promises: takes time and memory in proportion to the bytes, whatever they are.

import { POLICY_PAGES_MAX } from "../../../assembly/shared/policies.ts";
import { WASM_PAGE_BYTES } from "../../base/wasm-page.ts";
import { type CodeRules, readCode, TYPES_MAX } from "./wasm-code.ts";
import { Cursor, type Limits, Malformed } from "./wasm-reader.ts";

/** What a kind of module may have. */
export interface ModuleRules extends CodeRules {
  /** Pages of its own memory and its tables; 0: it has neither. */
  readonly pagesMax: number;
  /** Whether it may have data segments and a start function: they run in every instance. */
  readonly mayHaveState: boolean;
  readonly codeBytesMax: number;
}

export const POLICY_RULES: ModuleRules = {
  pagesMax: POLICY_PAGES_MAX,
  mayHaveState: true,
  codeBytesMax: 2 ** 20,
  mayGrowMemory: true,
  mayUseAtomics: false,
};

export const ENGINE_RULES: ModuleRules = {
  pagesMax: 0,
  mayHaveState: false,
  codeBytesMax: 4 * 2 ** 20,
  mayGrowMemory: false,
  mayUseAtomics: true,
};

/** What V8 keeps for an entry of a table: the reference, and what a call through it needs. */
const TABLE_ENTRY_BYTES = 32;

/** How many there may be of what a module can have many of; each costs the host up to some hundred bytes. */
const COUNTS_MAX = {
  types: TYPES_MAX,
  imports: 100,
  functions: 10_000,
  tables: 10,
  globals: 10_000,
  exports: 1000,
  elements: 1000, // segments
  data: 10_000, // segments
} as const;
const PARAMETERS_MAX = 100;
/** Of one function. The optimizing compiler takes more than proportional time and memory for them. */
const FUNCTION_BYTES_MAX = 65_536;
const LOCALS_MAX = 2000;
const DEPTH_MAX = 1000;
/** Each block keeps a word for each local while the function is compiled. */
const BLOCK_LOCALS_MAX = 2 ** 22;

const [CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
] as const;
const FUNCTION_FORM = 0x60;
const [KIND_FUNCTION, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL] = [0, 1, 2, 3] as const;

/** What was expected and what was found, as clauses: "The policy module x must ...; found ...". */
interface LimitBreach {
  readonly expected: string;
  readonly found: string;
}

class Breach extends Error {
  readonly breach: LimitBreach;

  constructor(expected: string, found: string) {
    super(`${expected}; found ${found}`);
    this.breach = { expected, found };
  }
}

/**
 * The first thing by which a module is more than `rules` allow, undefined if there is none. `signatures` are those that
 * exported functions must have, by name: "(i32, i32) -> i32".
 */
export function findBreach(
  bytes: Uint8Array,
  rules: ModuleRules,
  signatures: Readonly<Record<string, string>>,
): LimitBreach | undefined {
  try {
    new ModuleReader(bytes, rules, signatures).read();
    return undefined;
  } catch (error) {
    if (error instanceof Breach) return error.breach;
    if (error instanceof Malformed) {
      return { expected: "must be WebAssembly 2.0 of one memory, without what has no bounds", found: error.message };
    }
    throw error;
  }
}

class ModuleReader {
  readonly #module: Cursor;
  readonly #rules: ModuleRules;
  readonly #signatures: Readonly<Record<string, string>>;
  readonly #types: string[] = []; // signatures
  readonly #typeLengths: number[] = []; // parameters and results
  readonly #functions: number[] = []; // types of all functions, imported ones first
  #importedFunctions = 0;
  #memory: Limits | undefined;
  #memories = 0;
  #tables = 0;
  #tableEntries = 0;

  constructor(bytes: Uint8Array, rules: ModuleRules, signatures: Readonly<Record<string, string>>) {
    this.#module = new Cursor(bytes);
    this.#rules = rules;
    this.#signatures = signatures;
  }

  read(): void {
    const magic = Buffer.from(this.#module.bytes.subarray(0, 8)).toString("hex");
    if (magic !== "0061736d01000000") throw new Breach("is no valid WebAssembly", "another kind of file");
    this.#module.skip(8);
    while (!this.#module.isAtEnd) {
      const id = this.#module.byte();
      const section = this.#module.part(this.#module.u32());
      if (id === CUSTOM) continue;
      this.#readSection(id, section);
      if (!section.isAtEnd) throw new Malformed(`a section of kind ${id} that is longer than its content`);
    }
    this.#checkMemory();
  }

  #readSection(id: number, section: Cursor): void {
    switch (id) {
      case TYPE:
        return this.#each(section, "types", () => this.#readType(section));
      case IMPORT:
        return this.#each(section, "imports", () => this.#readImport(section));
      case FUNCTION:
        return this.#each(section, "functions", () => this.#functions.push(section.u32()));
      case TABLE:
        return this.#each(section, "tables", () => this.#readTable(section));
      case MEMORY:
        for (let left = section.u32(); left > 0; left--) this.#addMemory(section.limits());
        return;
      case GLOBAL:
        return this.#each(section, "globals", () => this.#readGlobal(section));
      case EXPORT:
        return this.#each(section, "exports", () => this.#readExport(section));
      case START:
        this.#requireState("a start function");
        section.u32();
        return;
      case ELEMENT:
        return this.#each(section, "elements", () => this.#readElements(section));
      case DATA_COUNT:
        section.u32();
        return;
      case CODE:
        return this.#readCode(section);
      case DATA:
        this.#requireState("data segments");
        return this.#each(section, "data", () => this.#readData(section));
      default:
        throw new Malformed(`a section of kind ${id}, which is not allowed`);
    }
  }

  #each(section: Cursor, what: keyof typeof COUNTS_MAX, readOne: () => void): void {
    const count = section.u32();
    if (count > COUNTS_MAX[what]) throw new Breach(`must have at most ${COUNTS_MAX[what]} ${what}`, `${count}`);
    for (let left = count; left > 0; left--) readOne();
  }

  #readType(section: Cursor): void {
    const form = section.byte();
    if (form !== FUNCTION_FORM) throw new Malformed(`a type that is no function's (0x${form.toString(16)})`);
    const [parameters, results] = [this.#readTypes(section), this.#readTypes(section)];
    const answer = results.length === 1 ? results[0] : `(${results.join(", ")})`;
    this.#types.push(`(${parameters.join(", ")}) -> ${answer}`);
    this.#typeLengths.push(parameters.length + results.length);
  }

  #readTypes(section: Cursor): string[] {
    const count = section.u32();
    if (count > PARAMETERS_MAX) {
      throw new Breach(`must have functions of at most ${PARAMETERS_MAX} parameters and results`, `${count}`);
    }
    return Array.from({ length: count }, () => section.type());
  }

  /** Which imports there may be is judged by name (wasm.ts); here they only count. */
  #readImport(section: Cursor): void {
    section.name();
    section.name();
    const kind = section.byte();
    if (kind === KIND_FUNCTION) {
      this.#functions.push(section.u32());
      this.#importedFunctions += 1;
    } else if (kind === KIND_MEMORY) section.limits();
    else if (kind === KIND_TABLE) {
      section.referenceType();
      section.limits();
    } else if (kind === KIND_GLOBAL) {
      section.type();
      section.byte();
    } else throw new Malformed(`an import of kind ${kind}`);
  }

  #readTable(section: Cursor): void {
    section.referenceType();
    const { initial, maximum, isShared } = section.limits();
    if (isShared) throw new Malformed("a shared table");
    if (maximum === undefined) throw new Breach("must have tables with a maximum", "one without");
    this.#tables += 1;
    this.#tableEntries += Math.max(initial, maximum);
  }

  #addMemory(memory: Limits): void {
    this.#memories += 1;
    this.#memory = memory;
  }

  #checkMemory(): void {
    const { pagesMax } = this.#rules;
    if (pagesMax === 0) {
      if (this.#memories + this.#tables > 0) {
        throw new Breach("must have neither memory nor tables of its own", this.#memories > 0 ? "a memory" : "a table");
      }
      return;
    }
    const expected = `must have a memory of its own with a maximum of at most ${pagesMax} pages`;
    const memory = this.#memory;
    if (memory === undefined || this.#memories !== 1) throw new Breach(expected, `${this.#memories} memories`);
    if (memory.isShared) throw new Breach(expected, "a shared memory");
    if (memory.maximum === undefined) throw new Breach(expected, "a memory without a maximum");
    const tablePages = Math.floor((this.#tableEntries * TABLE_ENTRY_BYTES) / WASM_PAGE_BYTES);
    const pages = Math.max(memory.initial, memory.maximum);
    if (pages + tablePages <= pagesMax) return;
    const tables =
      tablePages === 0 ? "" : `, and tables of ${this.#tableEntries} entries, which count as ${tablePages}`;
    throw new Breach(expected, `one that can have ${pages} pages${tables}`);
  }

  #readGlobal(section: Cursor): void {
    section.type();
    section.byte();
    this.#readExpression(section);
  }

  #readExpression(section: Cursor): void {
    readCode(section, this.#rules);
  }

  #readExport(section: Cursor): void {
    const name = section.name();
    const kind = section.byte();
    const index = section.u32();
    if (kind > KIND_GLOBAL) throw new Malformed(`an export of kind ${kind}`);
    const expected = Object.hasOwn(this.#signatures, name) ? this.#signatures[name] : undefined;
    if (expected === undefined || kind !== KIND_FUNCTION) return; // another kind is refused by name (wasm.ts)
    const found = this.#types[this.#functions[index] ?? -1] ?? "a function that is not there";
    if (found !== expected) throw new Breach(`must export "${name}" as ${expected}`, found);
  }

  /** Section 5.5.12: three bits say which of eight forms a segment has. */
  #readElements(section: Cursor): void {
    const form = section.u32();
    if (form > 7) throw new Malformed(`an element segment of form ${form}`);
    const [isPassive, hasKind, hasExpressions] = [(form & 1) !== 0, (form & 3) !== 0, (form & 4) !== 0];
    if (!isPassive && (form & 2) !== 0) section.u32(); // index of its table
    if (!isPassive) this.#readExpression(section);
    if (hasKind && hasExpressions) section.referenceType();
    else if (hasKind) section.byte();
    for (let left = section.u32(); left > 0; left--) {
      if (hasExpressions) this.#readExpression(section);
      else section.u32();
    }
  }

  #readData(section: Cursor): void {
    const form = section.u32();
    if (form > 2) throw new Malformed(`a data segment of form ${form}`);
    if (form === 2 && section.u32() !== 0) throw new Malformed("more than one memory");
    if (form !== 1) this.#readExpression(section);
    section.skip(section.u32());
  }

  #readCode(section: Cursor): void {
    const { codeBytesMax } = this.#rules;
    const sizeBytes = section.end - section.at;
    if (sizeBytes > codeBytesMax) throw new Breach(`must have at most ${codeBytesMax} bytes of code`, `${sizeBytes}`);
    let index = this.#importedFunctions;
    this.#each(section, "functions", () => {
      const type = this.#functions[index++] ?? -1;
      this.#readFunction(section.part(section.u32()), this.#typeLengths[type] ?? 0);
    });
  }

  #readFunction(body: Cursor, typeLength: number): void {
    const sizeBytes = body.end - body.at;
    if (sizeBytes > FUNCTION_BYTES_MAX) {
      throw new Breach(`must have functions of at most ${FUNCTION_BYTES_MAX} bytes`, `one of ${sizeBytes}`);
    }
    let locals = typeLength;
    for (let left = body.u32(); left > 0; left--) {
      locals += body.u32();
      body.type();
    }
    if (locals > LOCALS_MAX) throw new Breach(`must have functions of at most ${LOCALS_MAX} locals`, `${locals}`);
    const { blocks, depth } = readCode(body, this.#rules);
    if (!body.isAtEnd) throw new Malformed("instructions after the end of a function");
    if (depth > DEPTH_MAX) throw new Breach(`must have blocks at most ${DEPTH_MAX} deep`, `${depth}`);
    if (blocks * locals > BLOCK_LOCALS_MAX) {
      const expected = `must have functions of at most ${BLOCK_LOCALS_MAX} locals times blocks`;
      throw new Breach(expected, `${locals} locals and ${blocks} blocks`);
    }
  }

  #requireState(what: string): void {
    if (this.#rules.mayHaveState) return;
    throw new Breach("must have neither data segments nor a start function", what);
  }
}
