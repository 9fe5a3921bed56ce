// Flows of a process before this one are taken over from its file: whole records alone, whatever else is there.
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as FlowLayout from "../../assembly/shared/layout/flow.ts";
import * as HeaderLayout from "../../assembly/shared/layout/header.ts";
import { FlowFile, RECORDS_AT } from "../../src/dataplane/io/flow-file.ts";
import { adoptFlows } from "../../src/dataplane/modules/adoption.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { FLAG, tcpPacket } from "../support/packet-builder.ts";
import { sentPacket } from "../support/packets-of.ts";
import { Random, testSeed } from "../support/random.ts";
import { inspectFlowTable } from "../support/reference/flow-table.ts";
import { A1, B1, B2, B3, instance, onNodeA, ROUND_ROBIN, serviceB, TO, world } from "../support/world.ts";

const ORIGIN_MS = 5000;
const WAIT_MS = 60_000;

let folder: string;
const open: FlowFile[] = [];

beforeEach(() => {
  folder = mkdtempSync("/dev/shm/sapwood-flows-");
});
afterEach(() => {
  for (const file of open.splice(0)) file.close();
  rmSync(folder, { recursive: true });
});

/** A process: its table, and its file in the folder. Its policy chooses candidate `choice`. */
async function start(
  choice: number,
  originMs = ORIGIN_MS,
  tables = world(),
): Promise<{ fixture: EngineFixture; file: FlowFile }> {
  const fixture = await onNodeA({ policy: () => choice, withoutTwin: true, tables });
  const file = FlowFile.tryOpen({ shared: fixture.shared, folder, clockOriginMs: originMs });
  if (file === undefined) throw new Error("the folder is locked");
  open.push(file);
  return { fixture, file };
}

async function takeOver({ fixture, file }: { fixture: EngineFixture; file: FlowFile }): Promise<void> {
  fixture.shared.u32[(HeaderLayout.AT + HeaderLayout.UNBOUND_END_MS) >>> 2] = fixture.nowMs + WAIT_MS;
  await adoptFlows(fixture.shared, file, fixture.nowMs);
  file.commit();
}

/** As when it is killed. */
function end(file: FlowFile): void {
  open.splice(open.indexOf(file), 1);
  file.close();
}

const port = (flow: number): number => 2000 + flow;
const tcp = (flow: number, flags: number) =>
  tcpPacket(A1.v4, ROUND_ROBIN.b.v4, { sport: port(flow), dport: 80, flags, seq: 77 }).frame();

/** A process opens flows to B 2 and is killed; what it sent for each of them afterwards. */
async function leaveFlows(flows: number): Promise<Uint8Array[]> {
  const { fixture, file } = await start(1);
  expect(file.problem).toBeUndefined();
  await takeOver({ fixture, file });
  const sent: Uint8Array[] = [];
  for (let flow = 0; flow < flows; flow++) {
    fixture.egress(tcp(flow, FLAG.SYN));
    sent.push(sentPacket(fixture.egress(tcp(flow, FLAG.ACK))));
  }
  end(file);
  return sent;
}

const path = (): string => join(folder, "flows");

// As flow-file.ts and flow-layout.ts have them
const [VERSION_AT, RECORD_SIZE_AT, BOOT_AT, FIELD_COUNT_AT, FIELDS_AT, FIELD_SIZE] = [8, 12, 32, 72, 128, 6] as const;
/** Fields that a record does without. */
const OPTIONAL = [11, 13, 14, 16, 17];

/** Rewrites the file as a version would leave it whose records have the fields in the reverse order, and one more. */
function layOutOtherwise(of: { readonly recordSize: number; readonly isLeftOut: (id: number) => boolean }): void {
  const bytes = readFileSync(path());
  const count = bytes.readUInt32LE(FIELD_COUNT_AT);
  const fields = Array.from({ length: count }, (_, i) => {
    const at = FIELDS_AT + i * FIELD_SIZE;
    return { id: bytes.readUInt16LE(at), from: bytes.readUInt16LE(at + 2), size: bytes.readUInt16LE(at + 4), to: 0 };
  }).filter(({ id }) => !of.isLeftOut(id));
  let to = 5; // of the new field
  for (const field of fields.reverse()) {
    field.to = to;
    to += field.size;
  }
  const records = Math.floor((bytes.length - RECORDS_AT) / FlowLayout.SIZE);
  const other = Buffer.alloc(RECORDS_AT + records * of.recordSize, 0xee);
  bytes.copy(other, 0, 0, FIELDS_AT);
  other.fill(0, FIELDS_AT, RECORDS_AT);
  other.writeUInt32LE(7, VERSION_AT);
  other.writeUInt32LE(of.recordSize, RECORD_SIZE_AT);
  other.writeUInt32LE(fields.length + 1, FIELD_COUNT_AT);
  for (const [i, { id, to: at, size }] of [...fields, { id: 999, to: 0, size: 5 }].entries()) {
    other.writeUInt16LE(id, FIELDS_AT + i * FIELD_SIZE);
    other.writeUInt16LE(at, FIELDS_AT + i * FIELD_SIZE + 2);
    other.writeUInt16LE(size, FIELDS_AT + i * FIELD_SIZE + 4);
  }
  for (let record = 0; record < records; record++) {
    const [source, target] = [RECORDS_AT + record * FlowLayout.SIZE, RECORDS_AT + record * of.recordSize];
    for (const { from, to: at, size } of fields) bytes.copy(other, target + at, source + from, source + from + size);
  }
  writeFileSync(path(), other);
}

function leaveNoList(version: number): void {
  patch(FIELD_COUNT_AT, [0]);
  patch(VERSION_AT, [version]);
}

/** What version 0.2.0 left of three flows to B 2 when it was killed, compressed. */
const FILE_OF_0_2_0 = [
  "H4sIAAAAAAACA+3TsUpCURgH8HO9ldGSSzTVG1y4onZzk57AF3Aw8kIQJDQIrS21N1dDbyAtLfUI6lu0OQthy5WyoUmh4feb",
  "zvf9D5z/cq66/UF+cTmIQgjvoXA7bC2OtSw7rqe9s6SaneZJvXuUJ81eM02q1Uaa1vK01s2yAAAAAAAAAAAAAAAAAAAAAAAA",
  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP/GfL7Ti/eX5sNQWp6jzaV5L/6Vh43yKLS3",
  "4u1peVQKUZG0K7Pp4lbrZDeEh/ln6Y/342IT/Ug7s7dh9HQdr73/uOg/Xm3/j/j58eX+tbL2/pOi/2S1/Rudm/753ezAP4Fv",
  "X9nCkzUABgEA",
].join("");

test("they go on with their instance, whatever the policy would choose now", async () => {
  const sent = await leaveFlows(20);
  const next = await start(0, ORIGIN_MS + 1000);
  await takeOver(next);
  expect(next.fixture.countsSinceStart()).toMatchObject({ flowsAdopted: 20 });
  expect(inspectFlowTable(next.fixture.shared)).toEqual({ live: 20, broken: [] });
  for (const [flow, bytes] of sent.entries()) {
    const { datagrams } = next.fixture.egress(tcp(flow, FLAG.ACK));
    expect(datagrams[0]?.endpoint).toBe(TO.c);
    expect(sentPacket({ datagrams })).toEqual(bytes);
  }
  expect(next.fixture.egress(tcp(99, FLAG.SYN)).datagrams[0]?.endpoint).toBe(TO.b);
});

test("their times go on", async () => {
  await leaveFlows(1);
  const restMs = 240_000; // of a connection that is opening
  const early = await start(0, ORIGIN_MS + restMs - 1000);
  await takeOver(early);
  expect(early.fixture.countsSinceStart().flowsAdopted).toBe(1);
  end(early.file);
  const late = await start(0, ORIGIN_MS + restMs);
  await takeOver(late);
  expect(late.fixture.countsSinceStart()).toMatchObject({ flowsExpired: 1 });
});

test("a process that is killed before it has taken over leaves them to the next one", async () => {
  await leaveFlows(3);
  const killed = await start(0);
  await adoptFlows(killed.fixture.shared, killed.file, killed.fixture.nowMs);
  end(killed.file);
  const next = await start(0);
  await takeOver(next);
  expect(next.fixture.countsSinceStart().flowsAdopted).toBe(3);
  expect(readdirSync(folder)).toEqual(["flows"]);
});

test("a flow whose instance the tables lack waits for it, and its packets and answers go nowhere", async () => {
  const [sent] = await leaveFlows(1);
  const lacking = world(serviceB([instance(1, "node-b", B1)]));
  const services = lacking.services.filter(({ name }) => name !== "b");
  const next = await start(0, ORIGIN_MS, { ...lacking, services });
  await takeOver(next);
  expect(inspectFlowTable(next.fixture.shared).live).toBe(1);
  const waiting = next.fixture.egress(tcp(0, FLAG.ACK));
  expect(waiting.datagrams).toEqual([]);
  await next.fixture.apply(world());
  const { datagrams } = next.fixture.egress(tcp(0, FLAG.ACK));
  expect(datagrams.map(({ endpoint, bytes }) => [endpoint, bytes])).toEqual([[TO.c, sent]]);
  expect(inspectFlowTable(next.fixture.shared).broken).toEqual([]);
});

test("one that waits in vain ends", async () => {
  await leaveFlows(1);
  const next = await start(0, ORIGIN_MS, { ...world(), services: [] });
  await takeOver(next);
  next.fixture.advance(WAIT_MS - 1);
  next.fixture.sweep();
  expect(inspectFlowTable(next.fixture.shared).live).toBe(1);
  next.fixture.advance(1);
  next.fixture.sweep();
  expect(inspectFlowTable(next.fixture.shared)).toEqual({ live: 0, broken: [] });
});

test("one whose instance has another address now gets another instance", async () => {
  await leaveFlows(1);
  const moved = world(
    serviceB([
      instance(1, "node-b", B1),
      instance(2, "node-c", { ...B2, v4: "10.21.3.99" }),
      instance(3, "node-d", B3),
    ]),
  );
  const next = await start(0, ORIGIN_MS, moved);
  await takeOver(next);
  expect(next.fixture.egress(tcp(0, FLAG.SYN)).datagrams[0]?.endpoint).toBe(TO.b);
});

test("of records with a wrong byte, each at another place, none misleads a packet", async () => {
  const random = new Random(testSeed(141));
  for (let round = 0; round < 8; round++) {
    const sent = await leaveFlows(FlowLayout.SIZE);
    const bytes = readFileSync(path());
    for (let flow = 0; flow < FlowLayout.SIZE; flow++) {
      const at = RECORDS_AT + (1 + flow) * FlowLayout.SIZE;
      expect(bytes.readUInt16BE(at + FlowLayout.CLIENT_PORT)).toBe(port(flow));
      bytes[at + flow] = (bytes[at + flow] ?? 0) ^ random.between(1, 255);
    }
    writeFileSync(path(), bytes);
    const next = await start(0);
    await takeOver(next);
    expect(inspectFlowTable(next.fixture.shared).broken).toEqual([]);
    for (const [flow, before] of sent.entries()) {
      const { datagrams } = next.fixture.egress(tcp(flow, FLAG.ACK));
      const [datagram] = datagrams;
      // Its own instance as before; or a flow that nobody knows, for which this policy chooses B 1.
      if (datagram?.endpoint === TO.c) expect(datagram.bytes, `byte ${flow}`).toEqual(before);
      else expect(datagram?.endpoint, `byte ${flow}`).toBe(TO.b);
      const isSealed = flow < FlowLayout.STATE || (flow >= FlowLayout.WIRE_PORT && flow < FlowLayout.NODE);
      if (isSealed) expect(datagram?.endpoint, `byte ${flow}`).toBe(TO.b);
    }
    next.fixture.advance(100_000_000);
    next.fixture.sweep();
    expect(inspectFlowTable(next.fixture.shared)).toEqual({ live: 0, broken: [] });
    end(next.file);
    rmSync(path());
  }
});

test("random bytes are no flows", async () => {
  const random = new Random(testSeed(142));
  await leaveFlows(50);
  const bytes = readFileSync(path());
  for (let at = RECORDS_AT; at < RECORDS_AT + 2000 * FlowLayout.SIZE; at++) bytes[at] = random.below(256);
  writeFileSync(path(), bytes);
  const next = await start(0);
  await takeOver(next);
  expect(next.fixture.countsSinceStart().flowsAdopted).toBeUndefined();
  expect(inspectFlowTable(next.fixture.shared)).toEqual({ live: 0, broken: [] });
});

test("a record that is there twice is one flow", async () => {
  await leaveFlows(1);
  const bytes = readFileSync(path());
  const first = RECORDS_AT + FlowLayout.SIZE;
  bytes.copy(bytes, first + FlowLayout.SIZE, first, first + FlowLayout.SIZE);
  writeFileSync(path(), bytes);
  const next = await start(0);
  await takeOver(next);
  expect(next.fixture.countsSinceStart()).toMatchObject({ flowsAdopted: 1, flowsRefused: 1 });
  expect(inspectFlowTable(next.fixture.shared)).toEqual({ live: 1, broken: [] });
});

test("of a file that was cut, what is whole is taken over", async () => {
  await leaveFlows(10);
  truncateSync(path(), RECORDS_AT + 5.5 * FlowLayout.SIZE);
  const next = await start(0);
  await takeOver(next);
  expect(next.fixture.countsSinceStart().flowsAdopted).toBe(4);
});

test.each<[string, () => void, RegExp]>([
  ["no header", () => truncateSync(path(), 20), /begin with 512 bytes of header; found 20/],
  ["another file", () => patch(0, [0]), /be a file of flows; found something else/],
  ["no list of fields, and another version", () => leaveNoList(99), /list the fields of a record or be of version 1/],
  ["another size of records", () => patch(12, [0]), /have each field within 0 bytes; found field 1, which ends at 16/],
  ["another boot", () => patch(32, [120]), /be of this boot/],
  ["a time to come", () => patch(16, [0, 0, 0, 0, 0, 0, 0xf0, 0x7f]), /be of a process that began before this one/],
  ["a link", () => link(symlinkSync), /must be a file; found a link/],
  ["a second name", () => linkSync(path(), join(folder, "other")), /have one name; found 2/],
  ["others may read it", () => chmodSync(path(), 0o644), /be open to its owner alone/],
  ["too many bytes", () => truncateSync(path(), 300_000_000), /have at most \d+ bytes; found 300000000/],
])("%s: nothing is taken over, and the next process finds flows again", async (_name, spoil, why) => {
  await leaveFlows(2);
  spoil();
  const next = await start(1);
  expect(next.file.refusal).toMatch(why);
  await takeOver(next);
  expect(next.fixture.countsSinceStart().flowsAdopted).toBeUndefined();
  next.fixture.egress(tcp(0, FLAG.SYN));
  end(next.file);
  const last = await start(0);
  expect(last.file.refusal).toBeUndefined();
  await takeOver(last);
  expect(last.fixture.countsSinceStart().flowsAdopted).toBe(1);
});

test("the file of version 0.2.0 is taken over", async () => {
  const bytes = gunzipSync(Buffer.from(FILE_OF_0_2_0, "base64"));
  bytes.write(readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(), BOOT_AT, "latin1");
  writeFileSync(path(), bytes, { mode: 0o600 });
  const next = await start(0, ORIGIN_MS + 1000);
  expect(next.file.refusal).toBeUndefined();
  await takeOver(next);
  expect(next.fixture.countsSinceStart()).toMatchObject({ flowsAdopted: 3 });
  for (const flow of [0, 1, 2]) expect(next.fixture.egress(tcp(flow, FLAG.ACK)).datagrams[0]?.endpoint).toBe(TO.c);
});

test("records of another layout are taken over one by one, by the fields that the file lists", async () => {
  const sent = await leaveFlows(20);
  layOutOtherwise({ recordSize: 250, isLeftOut: (id) => OPTIONAL.includes(id) });
  patch(RECORDS_AT + 250 * 3 + 9, [0xaa]); // a part of a record, whatever it is
  const next = await start(0, ORIGIN_MS + 1000);
  expect(next.file.refusal).toBeUndefined();
  await takeOver(next);
  expect(next.fixture.countsSinceStart()).toMatchObject({ flowsAdopted: 19, flowsRefused: 1 });
  expect(inspectFlowTable(next.fixture.shared)).toEqual({ live: 19, broken: [] });
  const kept = sent.filter((bytes, flow) => {
    const { datagrams } = next.fixture.egress(tcp(flow, FLAG.ACK));
    return datagrams[0]?.endpoint === TO.c && Buffer.compare(sentPacket({ datagrams }), bytes) === 0;
  });
  expect(kept.length).toBeGreaterThanOrEqual(19); // the policy chooses another one
  end(next.file);
  const last = await start(0, ORIGIN_MS + 2000); // its own layout again
  await takeOver(last);
  expect(last.fixture.countsSinceStart().flowsAdopted).toBeGreaterThanOrEqual(19);
});

test.each(Array.from({ length: 19 }, (_, i) => i + 1).filter((id) => !OPTIONAL.includes(id)))(
  "without the field %i nothing is taken over",
  async (id) => {
    await leaveFlows(2);
    layOutOtherwise({ recordSize: 250, isLeftOut: (one) => one === id });
    const next = await start(0);
    expect(next.file.refusal).toMatch(new RegExp(`have the field ${id} of a record; found none`));
  },
);

test("random lists of fields never take over a record that is not whole", async () => {
  const random = new Random(testSeed(11));
  for (let round = 0; round < 10; round++) {
    await leaveFlows(5);
    const bytes = readFileSync(path());
    for (let change = 0; change < 1 + random.below(3); change++)
      bytes[FIELDS_AT + random.below(114)] = random.below(256);
    writeFileSync(path(), bytes);
    const next = await start(0);
    await takeOver(next);
    const { flowsAdopted = 0 } = next.fixture.countsSinceStart();
    expect(flowsAdopted).toBeLessThanOrEqual(5);
    expect(inspectFlowTable(next.fixture.shared)).toEqual({ live: flowsAdopted, broken: [] });
    end(next.file);
    rmSync(path());
  }
});

test.runIf(process.geteuid?.() === 0)("a file of another user is not read", async () => {
  await leaveFlows(1);
  chownSync(path(), 65_534, 65_534);
  const next = await start(0);
  expect(next.file.refusal).toMatch(/belong to this user; found user 65534/);
});

test("the file grows ahead of the table, and also while flows are taken over", async () => {
  const stepBytes = RECORDS_AT; // 341 records
  const process = async (originMs: number) => {
    const fixture = await onNodeA({ policy: () => 1, withoutTwin: true });
    const file = FlowFile.tryOpen({ shared: fixture.shared, folder, clockOriginMs: originMs, stepBytes });
    if (file === undefined) throw new Error("the folder is locked");
    open.push(file);
    await takeOver({ fixture, file });
    return { fixture, file };
  };
  const word = (fixture: EngineFixture, offset: number): number =>
    fixture.shared.u32[(HeaderLayout.AT + offset) >>> 2] ?? 0;
  const before = await process(ORIGIN_MS);
  for (let flow = 0; flow < 3000; flow++) {
    if (flow % 300 === 0) {
      await expect
        .poll(() => word(before.fixture, HeaderLayout.FLOW_ROOM) - word(before.fixture, HeaderLayout.FLOW_NEXT))
        .toBeGreaterThan(300);
    }
    before.fixture.egress(tcp(flow, FLAG.SYN));
  }
  end(before.file);
  const next = await process(ORIGIN_MS);
  expect(next.fixture.countsSinceStart().flowsAdopted).toBe(3000);
  expect(inspectFlowTable(next.fixture.shared)).toEqual({ live: 3000, broken: [] });
});

test("two processes never share a folder", async () => {
  const { fixture } = await start(0);
  expect(FlowFile.tryOpen({ shared: fixture.shared, folder, clockOriginMs: ORIGIN_MS })).toBeUndefined();
});

function patch(at: number, values: readonly number[]): void {
  const bytes = readFileSync(path());
  bytes.set(values, at);
  writeFileSync(path(), bytes);
}

function link(make: (target: string, path: string) => void): void {
  renameSync(path(), join(folder, "elsewhere"));
  make(join(folder, "elsewhere"), path());
}
