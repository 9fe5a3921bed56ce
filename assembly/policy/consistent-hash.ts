// Consistent hash: a flow's hash alone says which instance it gets, and when an instance comes or goes hardly any flow
// of the others moves. Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): each candidate has an order of its own
// in which it wants the entries of a table; they take turns, as their weights allow, until no entry is free.
// The table depends on the instance numbers and weights of the candidates that take new flows and on nothing else, so
// every node and worker has the same, also after a restart; services whose candidates have the same share one.

import {
  abiVersion,
  allocate,
  CHOICE_NONE,
  release,
  reserve,
  Service,
  scramble,
  UPDATE_DONE,
  UPDATE_FULL,
  UPDATE_UNKNOWN,
  update as updateMembers,
} from "./sdk.ts";

export { abiVersion, reserve };

export function update(service: i32, count: i32): i32 {
  const known = Service.find(service);
  if (known == null || updateMembers(service, count) != UPDATE_DONE) return UPDATE_UNKNOWN;
  const digest = known.membersDigest;
  const before = tableOf(known);
  if (before != null) {
    if (before.digest == digest) return UPDATE_DONE;
    before.leave();
  }
  const table = findTable(digest) || buildTable(known, digest);
  known.own = <u32>changetype<usize>(table);
  if (table == null) return UPDATE_FULL;
  table.users += 1;
  return UPDATE_DONE;
}

export function choose(service: i32, flowHash: i32, _clientHash: i32): i32 {
  const known = Service.find(service);
  if (known == null || known.memberCount == 0) return CHOICE_NONE;
  const table = tableOf(known);
  return table == null ? CHOICE_NONE : known.member(table.turn(<u32>flowHash % ENTRY_COUNT));
}

// ---------------------------------------------------------------- table
/** Prime, so that any step but 0 leads through all entries. */
const ENTRY_COUNT: u32 = 65537;
/** Packed entries fill a power of two bytes, as blocks do; the one that is left over is in the table's head. */
const PACKED_COUNT: u32 = ENTRY_COUNT - 1;

/**
 * An entry is the turn of a member, in as few bits as all turns fit in: 1, 2, 4, 8, 16 or 32. For up to 16 members
 * the entries take 32 KiB at most, up to 256 members 64 KiB, beyond that 128 KiB.
 */
@unmanaged
class Table {
  digest: u64 = 0; // of the members
  next: u32 = 0; // address of the next table
  users: u32 = 0; // services
  bitsShift: u32 = 0; // an entry has 1 << bitsShift bits
  entriesAt: usize = 0;
  lastEntry: u32 = 0;

  @inline
  turn(entry: u32): u32 {
    if (entry == PACKED_COUNT) return this.lastEntry;
    const bit = entry << this.bitsShift;
    return (load<u32>(this.wordAt(bit)) >>> (bit & 31)) & this.mask;
  }

  /** The entry must be 0. */
  @inline
  setTurn(entry: u32, turn: u32): void {
    if (entry == PACKED_COUNT) {
      this.lastEntry = turn;
      return;
    }
    const bit = entry << this.bitsShift;
    const at = this.wordAt(bit);
    store<u32>(at, load<u32>(at) | (turn << (bit & 31)));
  }

  /** One service less; the last one's leave frees the table. */
  leave(): void {
    this.users -= 1;
    if (this.users != 0) return;
    const address = <u32>changetype<usize>(this);
    if (firstTable == address) firstTable = this.next;
    for (let at = firstTable; at != 0; at = changetype<Table>(<usize>at).next) {
      const table = changetype<Table>(<usize>at);
      if (table.next == address) table.next = this.next;
    }
    release(this.entriesAt, entriesSize(this.bitsShift));
    release(changetype<usize>(this), offsetof<Table>());
  }

  @inline
  private wordAt(bit: u32): usize {
    return this.entriesAt + ((<usize>(bit >>> 5)) << 2);
  }

  @inline
  private get mask(): u32 {
    return u32.MAX_VALUE >>> (32 - (1 << this.bitsShift));
  }
}

function tableOf(service: Service): Table | null {
  return changetype<Table | null>(<usize>service.own);
}

function findTable(digest: u64): Table | null {
  let table = changetype<Table | null>(<usize>firstTable);
  while (table != null && table.digest != digest) table = changetype<Table | null>(<usize>table.next);
  return table;
}

/** Null if there is no memory. */
function buildTable(service: Service, digest: u64): Table | null {
  const count = service.memberCount;
  const bitsShift = bitsShiftFor(count);
  const at = allocate(offsetof<Table>());
  const entriesAt = allocate(entriesSize(bitsShift));
  const seatsAt = allocate(seatsSize(count));
  const isComplete = at != 0 && entriesAt != 0 && seatsAt != 0;
  if (isComplete) {
    const table = changetype<Table>(at);
    table.digest = digest;
    table.next = firstTable;
    table.users = 0;
    table.bitsShift = bitsShift;
    table.entriesAt = entriesAt;
    table.lastEntry = 0;
    memory.fill(entriesAt, 0, entriesSize(bitsShift));
    if (count > 1) fill(table, service, seatsAt);
    firstTable = <u32>at;
  }
  if (seatsAt != 0) release(seatsAt, seatsSize(count));
  if (isComplete) return changetype<Table>(at);
  if (entriesAt != 0) release(entriesAt, entriesSize(bitsShift));
  if (at != 0) release(at, offsetof<Table>());
  return null;
}

function bitsShiftFor(count: u32): u32 {
  let shift: u32 = 0;
  while (<u64>count > (<u64>1) << (1 << shift)) shift++;
  return shift;
}

function entriesSize(bitsShift: u32): usize {
  return (<usize>(PACKED_COUNT >>> 3)) << bitsShift;
}

// ---------------------------------------------------------------- filling
// While a table is filled: a bit per entry that says whether it is taken, then a seat per member.
const TAKEN_SIZE: usize = 8200;

/** How far a member is in its order of the entries. */
@unmanaged
class Seat {
  entry: u32 = 0; // the next that it wants
  step: u32 = 0; // from that to the one after it
  share: u32 = 0; // entries that it is to get
  got: u32 = 0;
}

function seatsSize(count: u32): usize {
  return TAKEN_SIZE + <usize>count * offsetof<Seat>();
}

function seat(seatsAt: usize, turn: u32): Seat {
  return changetype<Seat>(seatsAt + TAKEN_SIZE + <usize>turn * offsetof<Seat>());
}

/**
 * In each of as many rounds as members would need at equal weights, every member gets its part of its share. At equal
 * weights that is one entry a round: Maglev as it was published.
 */
function fill(table: Table, service: Service, seatsAt: usize): void {
  const count = service.memberCount;
  memory.fill(seatsAt, 0, TAKEN_SIZE);
  takeSeats(service, seatsAt);
  const rounds = (ENTRY_COUNT + count - 1) / count;
  for (let round: u32 = 1; round <= rounds; round++) {
    for (let turn: u32 = 0; turn < count; turn++) {
      const own = seat(seatsAt, turn);
      // At most 32,769 rounds x 65,537 entries: below 2^32.
      const due = (round * own.share + rounds - 1) / rounds;
      while (own.got < due) {
        table.setTurn(takeEntry(seatsAt, own), turn);
        own.got += 1;
      }
    }
  }
}

/** The shares differ from the exact ones by less than an entry, and their sum is ENTRY_COUNT. */
function takeSeats(service: Service, seatsAt: usize): void {
  const count = service.memberCount;
  let weightSum: u64 = 0;
  for (let turn: u32 = 0; turn < count; turn++) weightSum += service.memberCandidate(turn).weight;
  let weightBefore: u64 = 0;
  let entriesBefore: u32 = 0;
  for (let turn: u32 = 0; turn < count; turn++) {
    const candidate = service.memberCandidate(turn);
    weightBefore += candidate.weight;
    const entriesUpTo = <u32>((weightBefore * ENTRY_COUNT) / weightSum);
    const random = scramble(<u64>candidate.instance);
    const own = seat(seatsAt, turn);
    own.entry = <u32>random % ENTRY_COUNT;
    own.step = (<u32>(random >>> 32) % (ENTRY_COUNT - 1)) + 1;
    own.share = entriesUpTo - entriesBefore;
    own.got = 0;
    entriesBefore = entriesUpTo;
  }
}

/** The first entry in the member's order that is free. There is one: the shares do not exceed the entries. */
function takeEntry(seatsAt: usize, own: Seat): u32 {
  while (true) {
    const entry = own.entry;
    own.entry = entry + own.step >= ENTRY_COUNT ? entry + own.step - ENTRY_COUNT : entry + own.step;
    const at = seatsAt + ((<usize>(entry >>> 5)) << 2);
    const word = load<u32>(at);
    const bit = (<u32>1) << (entry & 31);
    if ((word & bit) != 0) continue;
    store<u32>(at, word | bit);
    return entry;
  }
}

/** The tables form a list. */
let firstTable: u32 = 0;
