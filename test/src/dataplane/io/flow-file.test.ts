// The file with the flows of the process before: it is used only if it is this proxy's own and whole.
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as FlowLayout from "../../../../assembly/shared/layout/flow.ts";
import { Region } from "../../../../assembly/shared/layout/header.ts";
import { FLOW_FILE_VERSION, FlowFile, RECORDS_AT } from "../../../../src/dataplane/io/flow-file.ts";
import { FIRST_LAYOUT, isSameLayout, OWN_LAYOUT } from "../../../../src/dataplane/io/flow-layout.ts";
import { createSharedMemory, type SharedMemory } from "../../../../src/memory/shared-memory.ts";
import { isInMemory } from "../../../../src/sys/mapped-file.ts";

const TMPFS = "/dev/shm";
const CAPACITIES = { flows: 100, addresses: 8, instances: 8, workloads: 8, nodes: 2, workers: 1 };
const BEFORE_MS = 1000;
const NOW_MS = 61_000;
// As flow-file.ts has them
const VERSION_AT = 8;
const RECORD_SIZE_AT = 12;
const CLOCK_ORIGIN_AT = 16;
const BOOT_AT = 32;
const FIELD_COUNT_AT = 72;
const FIELDS_AT = 128;

describe.skipIf(!existsSync(TMPFS) || !isInMemory(TMPFS))("the file with the flows", () => {
  let folder: string;
  let path: string;
  let opened: FlowFile[];

  beforeEach(() => {
    folder = mkdtempSync(join(TMPFS, "sapwood-flow-file-"));
    path = join(folder, "flows");
    opened = [];
  });
  afterEach(() => {
    for (const file of opened) file.close();
    rmSync(folder, { recursive: true });
  });

  function open(shared: SharedMemory, clockOriginMs = NOW_MS): FlowFile {
    const file = FlowFile.tryOpen({ shared, folder, clockOriginMs });
    if (file === undefined) throw new Error("another one has the folder");
    opened.push(file);
    return file;
  }

  /** As a process that is gone left it: record 5 is full of 7. */
  function leave(): SharedMemory {
    const shared = createSharedMemory({ capacities: CAPACITIES });
    const file = FlowFile.tryOpen({ shared, folder, clockOriginMs: BEFORE_MS });
    const at = shared.at(Region.flows) + 5 * FlowLayout.SIZE;
    shared.bytes.fill(7, at, at + FlowLayout.SIZE);
    file?.commit();
    file?.close();
    return shared;
  }

  /** Why nothing is taken over from what is there; and the flows of this process outlive it all the same. */
  function refusal(): string | undefined {
    const shared = createSharedMemory({ capacities: CAPACITIES });
    const file = open(shared);
    expect(file.readFormer(0)).toBe(0);
    expect(file.problem).toBeUndefined();
    file.commit();
    const found = readFileSync(path);
    expect(found.readDoubleLE(CLOCK_ORIGIN_AT)).toBe(NOW_MS);
    return file.refusal;
  }

  test("has what the memory has, also when its process is gone, and says how its clock differs", () => {
    const former = leave();
    former.bytes[former.at(Region.flows) + 9 * FlowLayout.SIZE] = 42;
    const shared = createSharedMemory({ capacities: CAPACITIES });
    const file = open(shared);
    expect(file.refusal).toBeUndefined();
    expect(file.shiftMs).toBe((BEFORE_MS - NOW_MS) >>> 0);
    expect(file.readFormer(0)).toBeGreaterThan(CAPACITIES.flows);
    const at = shared.at(Region.adoption);
    expect(shared.bytes[at + 5 * FlowLayout.SIZE]).toBe(7);
    expect(shared.bytes[at + 9 * FlowLayout.SIZE]).toBe(42);
    expect(shared.bytes[shared.at(Region.flows) + 5 * FlowLayout.SIZE]).toBe(0);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("says that a program of 0.2.0 can read it, as long as records are laid out as that has them", () => {
    expect(FLOW_FILE_VERSION === 1).toBe(isSameLayout(OWN_LAYOUT, FIRST_LAYOUT));
  });

  test("stays as it was until another one takes its place, and a draft that a crash left goes", () => {
    leave();
    const first = FlowFile.tryOpen({
      shared: createSharedMemory({ capacities: CAPACITIES }),
      folder,
      clockOriginMs: NOW_MS,
    });
    expect(readdirSync(folder)).toHaveLength(2);
    first?.close(); // before commit()
    const second = open(createSharedMemory({ capacities: CAPACITIES }));
    expect(readdirSync(folder)).toHaveLength(2);
    expect(second.shiftMs).toBe((BEFORE_MS - NOW_MS) >>> 0);
    second.commit();
    expect(readdirSync(folder)).toEqual(["flows"]);
    expect(readFileSync(path).readDoubleLE(CLOCK_ORIGIN_AT)).toBe(NOW_MS);
  });

  test("is one proxy's at a time", () => {
    const shared = createSharedMemory({ capacities: CAPACITIES });
    open(shared);
    expect(FlowFile.tryOpen({ shared, folder, clockOriginMs: NOW_MS })).toBeUndefined();
  });

  test("lies in a folder into which nobody else may write, and that is no link", () => {
    const shared = createSharedMemory({ capacities: CAPACITIES });
    chmodSync(folder, 0o777);
    expect(() => open(shared)).toThrow("must be writable by its owner alone");
    chmodSync(folder, 0o700);
    const link = join(folder, "link");
    symlinkSync(folder, link);
    expect(() => FlowFile.tryOpen({ shared, folder: link, clockOriginMs: NOW_MS })).toThrow("must be a folder");
  });

  test.for<[what: string, spoil: () => void, reason: string]>([
    ["empty", () => truncateSync(path), "begin with 512 bytes of header; found 0"],
    ["cut in its header", () => truncateSync(path, 100), "begin with 512 bytes of header; found 100"],
    ["larger than any", () => truncateSync(path, 2 ** 30), "must have at most"],
    ["something else", () => writeFileSync(path, Buffer.alloc(RECORDS_AT, "x")), "must be a file of flows"],
    ["readable by others", () => chmodSync(path, 0o640), "open to its owner alone (mode 0600); found 640"],
    ["under two names", () => linkSync(path, join(folder, "second")), "must have one name; found 2"],
    [
      "of another version without a list of fields",
      () => overwrite((bytes) => bytes.writeUInt32LE(99, VERSION_AT) && bytes.writeUInt32LE(0, FIELD_COUNT_AT)),
      "list the fields of a record or be of version 1; found version 99",
    ],
    [
      "of other records without a list of fields",
      () => overwrite((bytes) => bytes.writeUInt32LE(128, RECORD_SIZE_AT) && bytes.writeUInt32LE(0, FIELD_COUNT_AT)),
      "records of 192 bytes; found 128",
    ],
    [
      "of records without room for their fields",
      () => overwrite((bytes) => bytes.writeUInt32LE(128, RECORD_SIZE_AT)),
      "have each field within 128 bytes; found field 18, which ends at 144",
    ],
    [
      "of huge records",
      () => overwrite((bytes) => bytes.writeUInt32LE(4097, RECORD_SIZE_AT)),
      "have records of at most 4096 bytes; found 4097",
    ],
    [
      "of too many fields",
      () => overwrite((bytes) => bytes.writeUInt32LE(65, FIELD_COUNT_AT) && bytes.writeUInt8(9, FIELDS_AT)),
      "list at most 64 fields of a record; found 65",
    ],
    [
      "of a field that is listed twice",
      () => overwrite((bytes) => bytes.writeUInt16LE(2, FIELDS_AT)),
      "list each field once; found field 2 twice",
    ],
    [
      "of a field of another size",
      () => overwrite((bytes) => bytes.writeUInt16LE(15, FIELDS_AT + 4)),
      "have 16 bytes of field 1; found 15",
    ],
    ["of another boot", () => overwrite((bytes) => bytes.write("0", BOOT_AT)), "must be of this boot"],
    [
      "without a time",
      () => overwrite((bytes) => bytes.writeDoubleLE(Number.NaN, CLOCK_ORIGIN_AT)),
      "began before this one; found NaN",
    ],
    [
      "of the future",
      () => overwrite((bytes) => bytes.writeDoubleLE(NOW_MS + 1, CLOCK_ORIGIN_AT)),
      "began before this one",
    ],
  ])("is left alone when it is %s", ([, spoil, reason]) => {
    leave();
    spoil();
    expect(refusal()).toContain(reason);
  });

  test("is left alone when it is a link, and so is what it leads to", () => {
    leave();
    const elsewhere = join(folder, "elsewhere");
    const bytes = readFileSync(path);
    writeFileSync(elsewhere, bytes, { mode: 0o600 });
    rmSync(path);
    symlinkSync(elsewhere, path);
    expect(refusal()).toContain("must be a file; found a link");
    expect(readFileSync(elsewhere).equals(bytes)).toBe(true);
  });

  test.skipIf(process.geteuid?.() !== 0)("is left alone when it is of another user", () => {
    leave();
    chownSync(path, 65_534, 65_534);
    expect(refusal()).toContain("must belong to this user; found user 65534");
  });

  test("that is cut among its records gives those that are whole", () => {
    leave();
    truncateSync(path, RECORDS_AT + 5 * FlowLayout.SIZE + 100);
    expect(open(createSharedMemory({ capacities: CAPACITIES })).readFormer(0)).toBe(5);
  });

  test("on a disk is none: the flows end with their process, and it says so", () => {
    const onDisk = join("/var/tmp", `sapwood-flow-file-${process.pid}`);
    mkdirSync(onDisk, { mode: 0o700 });
    try {
      if (isInMemory(onDisk)) return;
      const shared = createSharedMemory({ capacities: CAPACITIES });
      const file = FlowFile.tryOpen({ shared, folder: onDisk, clockOriginMs: NOW_MS });
      expect(file?.problem).toContain("is on a disk; expected a folder in memory");
      file?.commit();
      file?.close();
      expect(readdirSync(onDisk)).toEqual([]);
    } finally {
      rmSync(onDisk, { recursive: true });
    }
  });

  function overwrite(change: (bytes: Buffer) => void): void {
    const bytes = readFileSync(path);
    change(bytes);
    writeFileSync(path, bytes);
  }
});
