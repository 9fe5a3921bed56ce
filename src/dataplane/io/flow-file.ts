// The file that the flow records lie in, so that they outlive the process: in memory (tmpfs), in a folder that is this
// proxy's alone. A start writes a new file and reads the one before; only when all flows that live on are in the new
// one does it take the place of the other. So a process may be killed at any instruction, also while it starts.
//
//   bytes 0...        header: what the records are and where their fields are, written before the first of them
//   bytes RECORDS_AT  the flow records, as in the memory (assembly/shared/layout/flow.ts)
//
// The file grows with the table. Records for which the machine has no more room lie in the memory alone.

import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  type Stats,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import * as FlowLayout from "../../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../../assembly/shared/layout/header.ts";
import { Region } from "../../../assembly/shared/layout/header.ts";
import { reasonOf } from "../../base/errors.ts";
import { ADOPTION_RECORDS, type SharedMemory } from "../../memory/shared-memory.ts";
import { FolderLock } from "../../sys/file-lock.ts";
import { addressOf } from "../../sys/libc.ts";
import { isInMemory, mapFile } from "../../sys/mapped-file.ts";
import { draftOf, nameOfDraft, openToRead, removeOwnFile, requireOwnFolder } from "../../sys/own-files.ts";
import {
  type Expect,
  FIRST_LAYOUT,
  isSameLayout,
  LIST_SIZE,
  OWN_LAYOUT,
  RecordConverter,
  type RecordLayout,
} from "./flow-layout.ts";

const FILE = "flows";
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const MAGIC = Buffer.from("sapwflow", "latin1");
/**
 * Of records that are laid out as those of 0.2.0, whose files list no fields: such a program reads version 1 alone. Raise
 * it when a field has another place, so that an older one does not take it for another.
 */
export const FLOW_FILE_VERSION = 1;
/** A whole page of any machine. */
export const RECORDS_AT = 65_536;
// The header of the file
const VERSION_AT = 8; // u32
const RECORD_SIZE_AT = 12; // u32
const CLOCK_ORIGIN_AT = 16; // f64: of CLOCK_MONOTONIC in ms, when the clock of LAST_USED_MS was 0
const BOOT_AT = 32; // 36 characters: the boot that the clock is of
const BOOT_SIZE = 36;
const FIELD_COUNT_AT = 72; // u32: how many fields of a record are listed; 0: those of version 1
const FIELDS_AT = 128; // flow-layout.ts
const HEADER_SIZE = FIELDS_AT + LIST_SIZE;
/** What the file grows by: some 22,000 flows. At least so much is free when it is looked at. */
const STEP = 4 * 2 ** 20;
const RECORDS_MAX = 1 + FlowLayout.LIMIT_MAX + FlowLayout.SLACK;

const ROOM_WORD = (HeaderLayout.AT + HeaderLayout.FLOW_ROOM) >>> 2;

export interface FlowFileOptions {
  readonly shared: SharedMemory;
  readonly folder: string;
  /** When the workers' clock is 0, in milliseconds of CLOCK_MONOTONIC. */
  readonly clockOriginMs: number;
  /** The lock on the folder that the process before passed on; this process's own from now on. */
  readonly passedLock?: number | undefined;
  /** What the file grows by, a multiple of RECORDS_AT; STEP unless given. */
  readonly stepBytes?: number;
  /** Is told why flows from now on do not outlive this process, when that comes about while it runs. */
  readonly onProblem?: (reason: string) => void;
}

/** The flows of the process before this one. */
interface FormerFlows {
  /** What their times are to be advanced by, modulo 2^32. */
  readonly shiftMs: number;
  readonly file: number;
  /** Undefined: the records are laid out as this program's. */
  readonly converter: RecordConverter | undefined;
}

export class FlowFile {
  readonly #shared: SharedMemory;
  readonly #folder: string;
  readonly #lock: FolderLock;
  readonly #former: FormerFlows | undefined;
  readonly #stepBytes: number;
  readonly #onProblem: (reason: string) => void;
  #draft: { readonly path: string; readonly file: number } | undefined;
  #isCommitted = false;
  #isGrowing = false;
  #mappedBytes = 0;
  #isClosed = false;
  /** Why flows of this process do not outlive it, or not all of them; undefined: they do. */
  problem: string | undefined;
  /** Why the flows of the process before were not taken over; undefined: they were, or there are none. */
  refusal: string | undefined;

  private constructor(options: FlowFileOptions, lock: FolderLock) {
    const { shared, folder, clockOriginMs, stepBytes = STEP, onProblem = () => undefined } = options;
    this.#shared = shared;
    this.#folder = folder;
    this.#lock = lock;
    this.#stepBytes = stepBytes;
    this.#onProblem = onProblem;
    removeDrafts(folder);
    try {
      this.#former = openFormer(join(folder, FILE), clockOriginMs);
    } catch (error) {
      this.refusal = reasonOf(error);
    }
    try {
      this.#create(clockOriginMs);
    } catch (error) {
      this.problem = reasonOf(error);
    }
  }

  /** Undefined when another process has the folder. Throws when the folder is not this user's own. */
  static tryOpen(options: FlowFileOptions): FlowFile | undefined {
    const { folder, passedLock } = options;
    requireOwnFolder(folder, FOLDER_MODE);
    const lock = passedLock === undefined ? FolderLock.tryTake(folder) : FolderLock.adopt(folder, passedLock);
    return lock && new FlowFile(options, lock);
  }

  /** Of the lock on the folder, to be passed on. */
  get lockDescriptor(): number {
    return this.#lock.descriptor;
  }

  /** Removes what a process left that was to take over from this one and did not. */
  removeOthersDrafts(): void {
    removeDrafts(this.#folder);
  }

  /** Reads the next records of the process before into Region.adoption, from `first` on; returns how many, 0 at the end. */
  readFormer(first: number): number {
    if (this.#former === undefined) return 0;
    this.#grow(ADOPTION_RECORDS);
    if (first >= RECORDS_MAX) return 0;
    const { file, converter } = this.#former;
    const at = this.#shared.at(Region.adoption);
    const recordSize = converter?.recordSize ?? FlowLayout.SIZE;
    const size = ADOPTION_RECORDS * recordSize;
    const from = RECORDS_AT + first * recordSize;
    if (converter === undefined) return Math.floor(readSync(file, this.#shared.bytes, at, size, from) / recordSize);
    const records = Buffer.allocUnsafe(size);
    return converter.convert(records.subarray(0, readSync(file, records, 0, size, from)), this.#shared.bytes, at);
  }

  get shiftMs(): number {
    return this.#former?.shiftMs ?? 0;
  }

  /** What is in the table now is what the next process finds. */
  commit(): void {
    const path = join(this.#folder, FILE);
    if (this.#former !== undefined) closeSync(this.#former.file);
    if (this.#draft === undefined) return removeOwnFile(path);
    renameSync(this.#draft.path, path);
    this.#isCommitted = true;
    this.followGrowth();
  }

  /** From now on the file grows with the table. */
  followGrowth(): void {
    if (this.#draft === undefined || this.#isGrowing) return;
    this.#isGrowing = true;
    void this.#growOn();
  }

  /** Whenever the data plane says that records are used up, as long as there are more. */
  async #growOn(): Promise<void> {
    while (!this.#isClosed && this.problem === undefined && this.#mappedBytes < this.#regionBytes) {
      this.#grow(0);
      const room = Atomics.load(this.#shared.i32, ROOM_WORD);
      await Atomics.waitAsync(this.#shared.i32, ROOM_WORD, room).value; // only this writes it
    }
  }

  /** The file stays, or that of the process before where this one did not come to take its place. */
  close(): void {
    this.#isClosed = true;
    if (this.#draft !== undefined) {
      closeSync(this.#draft.file);
      if (!this.#isCommitted) removeOwnFile(this.#draft.path);
    }
    this.#lock.release();
  }

  #create(clockOriginMs: number): void {
    if (!isInMemory(this.#folder)) throw new Error(`${this.#folder} is on a disk; expected a folder in memory (tmpfs)`);
    const path = join(this.#folder, draftOf(FILE));
    const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const file = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
    try {
      const header = Buffer.alloc(HEADER_SIZE);
      MAGIC.copy(header);
      header.writeUInt32LE(FLOW_FILE_VERSION, VERSION_AT);
      header.writeUInt32LE(FlowLayout.SIZE, RECORD_SIZE_AT);
      header.writeDoubleLE(clockOriginMs, CLOCK_ORIGIN_AT);
      header.write(bootId(), BOOT_AT, BOOT_SIZE, "latin1");
      header.writeUInt32LE(OWN_LAYOUT.count, FIELD_COUNT_AT);
      OWN_LAYOUT.list.copy(header, FIELDS_AT);
      writeSync(file, header, 0, header.length, 0);
      this.#draft = { path, file };
      this.#mapNext();
    } catch (error) {
      this.#draft = undefined;
      closeSync(file);
      removeOwnFile(path);
      throw error;
    }
  }

  /** Maps what is needed, before it is, for `records` more and a step beyond. */
  #grow(records: number): void {
    const next = Atomics.load(this.#shared.i32, (HeaderLayout.AT + HeaderLayout.FLOW_NEXT) >>> 2);
    const wanted = (next + records) * FlowLayout.SIZE + this.#stepBytes;
    try {
      while (this.problem === undefined && this.#mappedBytes < Math.min(wanted, this.#regionBytes)) this.#mapNext();
    } catch (error) {
      this.problem = reasonOf(error);
      this.#setRoom(this.#shared.records.flows);
      this.#onProblem(this.problem);
    }
  }

  /** In whole pages. */
  get #regionBytes(): number {
    return Math.ceil((this.#shared.records.flows * FlowLayout.SIZE) / RECORDS_AT) * RECORDS_AT;
  }

  #mapNext(): void {
    if (this.#draft === undefined) throw new Error("there is no file of the flows");
    const size = Math.min(this.#stepBytes, this.#regionBytes - this.#mappedBytes);
    const address = addressOf(this.#shared.memory.buffer) + BigInt(this.#shared.at(Region.flows) + this.#mappedBytes);
    mapFile(this.#draft.file, RECORDS_AT + this.#mappedBytes, address, size);
    this.#mappedBytes += size;
    this.#setRoom(Math.min(this.#shared.records.flows, Math.floor(this.#mappedBytes / FlowLayout.SIZE)));
  }

  #setRoom(records: number): void {
    Atomics.store(this.#shared.i32, ROOM_WORD, records);
  }
}

function removeDrafts(folder: string): void {
  for (const name of readdirSync(folder)) if (nameOfDraft(name) === FILE) removeOwnFile(join(folder, name));
}

/** Throws for a file that is none of this proxy's, or that this version cannot read. */
function openFormer(path: string, clockOriginMs: number): FormerFlows | undefined {
  const file = openToRead(path);
  if (file === undefined) return undefined;
  try {
    const expect: Expect = (isRight, what, found) => {
      if (!isRight) throw new Error(`${path} must ${what}; found ${String(found)}`);
    };
    const status = fstatSync(file);
    checkStatus(status, expect);
    const header = readHeader(file, expect);
    const converter = converterOf(header, expect);
    const sizeMax = RECORDS_AT + RECORDS_MAX * (converter?.recordSize ?? FlowLayout.SIZE) + STEP;
    expect(status.size <= sizeMax, `have at most ${sizeMax} bytes`, status.size);
    return { file, shiftMs: shiftOf(header, clockOriginMs, expect), converter };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function checkStatus(status: Stats, expect: Expect): void {
  expect(status.isFile(), "be a file", "something else");
  expect(status.uid === process.geteuid?.(), "belong to this user", `user ${status.uid}`);
  expect((status.mode & 0o077) === 0, "be open to its owner alone (mode 0600)", (status.mode & 0o777).toString(8));
  expect(status.nlink === 1, "have one name", status.nlink);
}

function readHeader(file: number, expect: Expect): Buffer {
  const header = Buffer.alloc(HEADER_SIZE);
  const length = readSync(file, header, 0, HEADER_SIZE, 0);
  expect(length === HEADER_SIZE, `begin with ${HEADER_SIZE} bytes of header`, length);
  expect(header.subarray(0, MAGIC.length).equals(MAGIC), "be a file of flows", "something else");
  return header;
}

/** FormerFlows.converter, once the header says how the records are laid out. */
function converterOf(header: Buffer, expect: Expect): RecordConverter | undefined {
  const version = header.readUInt32LE(VERSION_AT);
  const recordSize = header.readUInt32LE(RECORD_SIZE_AT);
  const count = header.readUInt32LE(FIELD_COUNT_AT);
  let layout: RecordLayout = { recordSize, count, list: header.subarray(FIELDS_AT) };
  if (count === 0) {
    expect(version === 1, "list the fields of a record or be of version 1", `version ${version}`);
    expect(recordSize === FIRST_LAYOUT.recordSize, `have records of ${FIRST_LAYOUT.recordSize} bytes`, recordSize);
    layout = FIRST_LAYOUT;
  }
  return isSameLayout(layout, OWN_LAYOUT) ? undefined : new RecordConverter(layout, expect);
}

/** FormerFlows.shiftMs, once the header says that the clock is of this boot. */
function shiftOf(header: Buffer, clockOriginMs: number, expect: Expect): number {
  const boot = header.toString("latin1", BOOT_AT, BOOT_AT + BOOT_SIZE);
  expect(boot === bootId(), `be of this boot (${bootId()})`, JSON.stringify(boot));
  const origin = header.readDoubleLE(CLOCK_ORIGIN_AT);
  const isBefore = origin >= 0 && origin <= clockOriginMs;
  expect(isBefore, "be of a process that began before this one", `${origin} ms after the start of the machine`);
  return Math.round(origin - clockOriginMs) >>> 0;
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}
