// Where the fields of a flow record are, as the header of a file of flows lists it: so that a program whose records are
// laid out otherwise, a newer or an older one, takes over what it knows of each record.
//
//   u16 id, u16 offset in the record, u16 size        for each field
//
// An id means the same thing for ever: what means something else, or has another size, gets a new one.

import * as FlowLayout from "../../../assembly/shared/layout/flow.ts";

interface Field {
  readonly id: number;
  readonly at: number;
  readonly size: number;
}

/** What a record is taken over by; adoption.ts finds the rest anew. */
const FIELDS: readonly (Field & {
  /** What each of its bytes is where a file does not have it; without one the field must be there. */
  readonly blank?: number;
})[] = [
  { id: 1, at: FlowLayout.CLIENT, size: 16 },
  { id: 2, at: FlowLayout.CALLED, size: 16 },
  { id: 3, at: FlowLayout.CLIENT_INSTANCE_ADDRESS, size: 16 },
  { id: 4, at: FlowLayout.TARGET, size: 16 },
  { id: 5, at: FlowLayout.TARGET_INSTANCE_ADDRESS, size: 16 },
  { id: 6, at: FlowLayout.CLIENT_PORT, size: 2 },
  { id: 7, at: FlowLayout.CALLED_PORT, size: 2 },
  { id: 8, at: FlowLayout.PROTOCOL, size: 1 },
  { id: 9, at: FlowLayout.STATE, size: 1 },
  { id: 10, at: FlowLayout.SEEN, size: 1 },
  { id: 11, at: FlowLayout.WINDOW_SCALES, size: 1, blank: FlowLayout.SCALE_UNKNOWN * 0x11 },
  { id: 12, at: FlowLayout.WIRE_PORT, size: 2 },
  { id: 13, at: FlowLayout.FORWARD_TCP, size: 8, blank: 0 },
  { id: 14, at: FlowLayout.REVERSE_TCP, size: 8, blank: 0 },
  { id: 15, at: FlowLayout.LAST_USED_MS, size: 4 },
  { id: 16, at: FlowLayout.FORWARD_PACKETS, size: 4, blank: 0 },
  { id: 17, at: FlowLayout.REVERSE_PACKETS, size: 4, blank: 0 },
  { id: 18, at: FlowLayout.ANSWERED, size: 16 },
  { id: 19, at: FlowLayout.SEAL, size: 8 },
];

const ENTRY_SIZE = 6;
const FIELDS_MAX = 64;
export const LIST_SIZE = FIELDS_MAX * ENTRY_SIZE;
/** Of a record of any version. */
const RECORD_SIZE_MAX = 4096;

/** How the records of a file are laid out. */
export interface RecordLayout {
  readonly recordSize: number;
  readonly count: number;
  /** LIST_SIZE bytes, 0 behind the entries. */
  readonly list: Buffer;
}

export const OWN_LAYOUT = layoutOf(FlowLayout.SIZE, FIELDS);

/** Of files that list no fields: those of 0.2.0, version 1. */
export const FIRST_LAYOUT = layoutOf(192, [
  ...[field(1, 0, 16), field(2, 16, 16), field(3, 32, 16), field(4, 48, 16), field(5, 64, 16)],
  ...[field(6, 80, 2), field(7, 82, 2), field(8, 84, 1), field(9, 85, 1), field(10, 86, 1), field(11, 87, 1)],
  ...[field(12, 88, 2), field(13, 96, 8), field(14, 104, 8), field(15, 112, 4), field(16, 120, 4)],
  ...[field(17, 124, 4), field(18, 128, 16), field(19, 168, 8)],
]);

export function isSameLayout(one: RecordLayout, other: RecordLayout): boolean {
  return one.recordSize === other.recordSize && one.count === other.count && one.list.equals(other.list);
}

function field(id: number, at: number, size: number): Field {
  return { id, at, size };
}

function layoutOf(recordSize: number, fields: readonly Field[]): RecordLayout {
  const list = Buffer.alloc(LIST_SIZE);
  for (const [i, { id, at, size }] of fields.entries()) {
    list.writeUInt16LE(id, i * ENTRY_SIZE);
    list.writeUInt16LE(at, i * ENTRY_SIZE + 2);
    list.writeUInt16LE(size, i * ENTRY_SIZE + 4);
  }
  return { recordSize, count: fields.length, list };
}

/** Throws that something must be so when it is not. */
export type Expect = (isRight: boolean, what: string, found: unknown) => void;

/** Brings records of one layout into this program's. */
export class RecordConverter {
  readonly recordSize: number;
  readonly #moves: readonly { readonly from: number; readonly to: number; readonly size: number }[];
  readonly #blank = new Uint8Array(FlowLayout.SIZE);

  /** Throws for a layout that no program could have written, or without a field that is needed. */
  constructor({ recordSize, count, list }: RecordLayout, expect: Expect) {
    expect(recordSize <= RECORD_SIZE_MAX, `have records of at most ${RECORD_SIZE_MAX} bytes`, recordSize);
    expect(count <= FIELDS_MAX, `list at most ${FIELDS_MAX} fields of a record`, count);
    const found = new Map<number, Field>();
    for (let entry = 0; entry < count * ENTRY_SIZE; entry += ENTRY_SIZE) {
      const [id, at, size] = [0, 2, 4].map((offset) => list.readUInt16LE(entry + offset)) as [number, number, number];
      const isWithin = at + size <= recordSize;
      expect(isWithin, `have each field within ${recordSize} bytes`, `field ${id}, which ends at ${at + size}`);
      expect(!found.has(id), "list each field once", `field ${id} twice`);
      found.set(id, { id, at, size });
    }
    this.recordSize = recordSize;
    this.#moves = FIELDS.flatMap(({ id, at, size, blank }) => {
      const former = found.get(id);
      expect(former !== undefined || blank !== undefined, `have the field ${id} of a record`, "none");
      if (former === undefined) {
        this.#blank.fill(blank ?? 0, at, at + size);
        return [];
      }
      expect(former.size === size, `have ${size} bytes of field ${id}`, former.size);
      return [{ from: former.at, to: at, size }];
    });
  }

  /** Writes the records into `target`, from `at` on. */
  convert(records: Buffer, target: Uint8Array, at: number): number {
    const count = Math.floor(records.length / this.recordSize);
    for (let i = 0; i < count; i++) {
      const [start, to] = [i * this.recordSize, at + i * FlowLayout.SIZE];
      target.set(this.#blank, to);
      for (const move of this.#moves) {
        records.copy(target, to + move.to, start + move.from, start + move.from + move.size);
      }
    }
    return count;
  }
}
