// All that a policy needs: the exports that are the same for every policy, a view of a candidate, and memory per
// service. A policy imports nothing else. Nothing here traps on any argument of the host; memory is never taken
// beyond the module's maximum: `reserve` answers 0 then.

import * as Policies from "../shared/policies.ts";
import { CHOICE_NONE, UPDATE_DONE, UPDATE_FULL, UPDATE_UNKNOWN } from "../shared/policies.ts";

export { CHOICE_NONE, UPDATE_DONE, UPDATE_FULL, UPDATE_UNKNOWN };

// ---------------------------------------------------------------- exports that policies pass on

export function abiVersion(): i32 {
  return Policies.POLICY_ABI_VERSION;
}

/** Room for the candidates of a service, which need not be known before. What `update` built stays in force. */
export function reserve(service: i32, count: i32): i32 {
  if (<u32>count > CANDIDATES_MAX) return 0;
  let known = Service.find(service);
  if (known == null) known = addService(service);
  if (known == null) return 0;
  return known.makeRoom(<u32>count) ? <i32>known.recordsAt : 0;
}

/** Every candidate that may take new flows becomes a member. */
export function update(service: i32, count: i32): i32 {
  const known = Service.find(service);
  if (known == null || !known.begin(count)) return UPDATE_UNKNOWN;
  for (let index = 0; index < count; index++) {
    if (known.candidate(index).isEligible) known.add(index);
  }
  known.settle();
  return UPDATE_DONE;
}

// ---------------------------------------------------------------- candidate

/** View of a candidate record; the fields have the order of shared/policies.ts. */
@unmanaged
export class Candidate {
  instance: u32 = 0;
  weight: u32 = 0;
  flows: u32 = 0;
  rttUs: u32 = 0; // 0 = not measured
  distanceKm: f32 = 0; // NaN = unknown
  flags: u32 = 0;
  own: u32 = 0; // the policy's, 0 after each reserve
  reserved: u32 = 0;

  /** May take new flows. */
  get isEligible(): bool {
    return (this.flags & (Policies.RECORD_DRAINING | Policies.RECORD_HEALTHY)) == Policies.RECORD_HEALTHY;
  }

  /** Runs on this node. */
  get isLocal(): bool {
    return (this.flags & Policies.RECORD_LOCAL) != 0;
  }

  get hasIpv4(): bool {
    return (this.flags & Policies.RECORD_IPV4) != 0;
  }

  get hasIpv6(): bool {
    return (this.flags & Policies.RECORD_IPV6) != 0;
  }

  /** Has the family in which the service is called: the packets of a flow to it are not translated. */
  get isOwnFamily(): bool {
    return (this.flags & Policies.RECORD_OWN_FAMILY) != 0;
  }
}

// ---------------------------------------------------------------- service
// A service has the candidates that the host wrote, and members: those of them that the policy lets have new flows,
// in ascending order of instance number, whatever the order of the candidates. Both lie in one block:
//   recordsAt: capacity x RECORD_SIZE, then capacity x MEMBER_SIZE
const MEMBER_SIZE = 8;
const NOT_STARTED: u32 = 0xffffffff;
/** More cannot fit in 16 MiB; below it no size overflows 32 bits. */
const CANDIDATES_MAX: u32 = 1 << 19;

@unmanaged
class Member {
  index: i32 = 0; // of its candidate
  instance: u32 = 0;

  /** Both: members are ordered by it. */
  get word(): u64 {
    return load<u64>(changetype<usize>(this));
  }

  set word(value: u64) {
    store<u64>(changetype<usize>(this), value);
  }
}

@unmanaged
export class Service {
  id: i32 = 0;
  recordsAt: usize = 0; // 0 = no block yet
  capacity: u32 = 0;
  count: u32 = 0; // candidates
  memberCount: u32 = 0;
  position: u32 = 0; // member whose turn it is, NOT_STARTED before the first turn
  lastInstance: u32 = 0; // whose turn was last
  own: u32 = 0; // the policy's, 0 at first; for instance an address from allocate()

  /** The service that the host calls `id`, null if it never reserved room for it. */
  static find(id: i32): Service | null {
    return slotOf(id).service;
  }

  @inline
  candidate(index: u32): Candidate {
    return changetype<Candidate>(this.recordsAt + <usize>index * Policies.RECORD_SIZE);
  }

  /** Index of the candidate that is a member. */
  @inline
  member(turn: u32): i32 {
    return this.memberAt(turn).index;
  }

  /** The candidate that is a member. */
  @inline
  memberCandidate(turn: u32): Candidate {
    return this.candidate(this.memberAt(turn).index);
  }

  /** Was this instance made a member by the last update? Valid until begin(). */
  hasMember(instance: u32): bool {
    const turn = this.firstTurnFrom(instance);
    return turn < this.memberCount && this.memberAt(turn).instance == instance;
  }

  /** First step of an update: forgets the members. False if there is no room for that number of candidates. */
  begin(count: i32): bool {
    if (<u32>count > this.capacity) return false;
    this.count = <u32>count;
    this.memberCount = 0;
    return true;
  }

  add(index: u32): void {
    this.memberAt(this.memberCount).word = ((<u64>this.candidate(index).instance) << 32) | index;
    this.memberCount += 1;
  }

  /** Another number whenever instances or weights of the members are others. Valid until begin(). */
  get membersDigest(): u64 {
    let digest: u64 = this.memberCount;
    for (let turn: u32 = 0; turn < this.memberCount; turn++) {
      const candidate = this.memberCandidate(turn);
      digest = scramble(digest ^ (((<u64>candidate.instance) << 32) | candidate.weight));
    }
    return digest;
  }

  /** For a policy to which all members are equal: if some have the family of the call, the others leave. */
  preferOwnFamily(): void {
    let kept: u32 = 0;
    for (let turn: u32 = 0; turn < this.memberCount; turn++) {
      if (!this.memberCandidate(turn).isOwnFamily) continue;
      this.memberAt(kept).word = this.memberAt(turn).word;
      kept += 1;
    }
    if (kept != 0) this.memberCount = kept;
  }

  /** Last step of an update: orders the members and finds whose turn follows the last one's. */
  settle(): void {
    this.sortMembers();
    if (this.position == NOT_STARTED) return;
    const turn: u32 = this.lastInstance == u32.MAX_VALUE ? 0 : this.firstTurnFrom(this.lastInstance + 1);
    this.position = turn < this.memberCount ? turn : 0;
  }

  /** Rotation: each member in turn, so that any k x n calls in a row choose each of n members exactly k times. */
  next(flowHash: i32): i32 {
    return this.memberCount == 0 ? CHOICE_NONE : this.take(this.turn(flowHash));
  }

  /**
   * The member whose turn it is; there must be one. The first turn falls where the flow's hash points, so that not
   * all services and workers begin with the same one.
   */
  @inline
  turn(flowHash: i32): u32 {
    return this.position == NOT_STARTED ? <u32>flowHash % this.memberCount : this.position;
  }

  /** Chooses the member whose turn it is; the next turn is that of the one after it. */
  @inline
  take(turn: u32): i32 {
    const member = this.memberAt(turn);
    this.position = turn + 1 == this.memberCount ? 0 : turn + 1;
    this.lastInstance = member.instance;
    return member.index;
  }

  /** Room for `count` candidates; members are kept. */
  makeRoom(count: u32): bool {
    if (count <= this.capacity && this.recordsAt != 0) return true;
    const blockSize = sizeClassBytes(<usize>max(count, 1) * (Policies.RECORD_SIZE + MEMBER_SIZE));
    const recordsAt = allocate(blockSize);
    if (recordsAt == 0) return false;
    const capacity = <u32>(blockSize / (Policies.RECORD_SIZE + MEMBER_SIZE));
    if (this.recordsAt != 0) {
      const membersAt = recordsAt + <usize>capacity * Policies.RECORD_SIZE;
      memory.copy(membersAt, changetype<usize>(this.memberAt(0)), <usize>this.memberCount * MEMBER_SIZE);
      release(this.recordsAt, <usize>this.capacity * (Policies.RECORD_SIZE + MEMBER_SIZE));
    }
    this.recordsAt = recordsAt;
    this.capacity = capacity;
    return true;
  }

  @inline
  private memberAt(turn: u32): Member {
    return changetype<Member>(this.recordsAt + <usize>this.capacity * Policies.RECORD_SIZE + <usize>turn * MEMBER_SIZE);
  }

  /** First member whose instance number is not below `instance`, memberCount if there is none. */
  private firstTurnFrom(instance: u32): u32 {
    let low: u32 = 0;
    let high = this.memberCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.memberAt(middle).instance < instance) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Shell sort: in place, and fast on the ordered lists that mostly come. */
  private sortMembers(): void {
    const count = this.memberCount;
    for (let gap = count >>> 1; gap > 0; gap >>>= 1) {
      for (let from = gap; from < count; from++) {
        const moving = this.memberAt(from).word;
        let to = from;
        while (to >= gap && this.memberAt(to - gap).word > moving) {
          this.memberAt(to).word = this.memberAt(to - gap).word;
          to -= gap;
        }
        this.memberAt(to).word = moving;
      }
    }
  }
}

// ---------------------------------------------------------------- service handle -> Service
// Open addressing, linear probing, load at most 1/2; services are never removed: the host starts a module anew
// when it is full.
const SLOT_SIZE = 8;
const SERVICE_BYTES = 32;

@unmanaged
class Slot {
  id: i32 = 0;
  service: Service | null = null; // null = free
}

/** The slot of `id`, or the free one where it belongs. */
function slotOf(id: i32): Slot {
  let slot = (<u32>id * 0x9e3779b1) >>> tableShift;
  while (true) {
    const found = changetype<Slot>(tableAt + <usize>slot * SLOT_SIZE);
    if (found.service == null || found.id == id) return found;
    slot = (slot + 1) & ((1 << (32 - tableShift)) - 1);
  }
}

function addService(id: i32): Service | null {
  if ((serviceCount + 1) * 2 > (<u32>1) << (32 - tableShift) && !growTable()) return null;
  const at = allocate(SERVICE_BYTES);
  if (at == 0) return null;
  memory.fill(at, 0, SERVICE_BYTES);
  const service = changetype<Service>(at);
  service.id = id;
  service.position = NOT_STARTED;
  serviceCount += 1;
  enter(service);
  return service;
}

function enter(service: Service): void {
  const slot = slotOf(service.id);
  slot.id = service.id;
  slot.service = service;
}

function growTable(): bool {
  const oldAt = tableAt;
  const oldBytes = (<usize>SLOT_SIZE) << (32 - tableShift);
  const newAt = allocate(oldBytes * 2);
  if (newAt == 0) return false;
  memory.fill(newAt, 0, oldBytes * 2);
  tableAt = newAt;
  tableShift -= 1;
  for (let at = oldAt; at < oldAt + oldBytes; at += SLOT_SIZE) {
    const service = changetype<Slot>(at).service;
    if (service != null) enter(service);
  }
  release(oldAt, oldBytes);
  return true;
}

// ---------------------------------------------------------------- hash

/** A hash of 64 bits (the finaliser of splitmix64): the same in every module on every node. */
export function scramble(value: u64): u64 {
  let h = value + 0x9e3779b97f4a7c15;
  h = (h ^ (h >>> 30)) * 0xbf58476d1ce4e5b9;
  h = (h ^ (h >>> 27)) * 0x94d049bb133111eb;
  return h ^ (h >>> 31);
}

// ---------------------------------------------------------------- memory
// Blocks of a power of two bytes; a released block waits in the list of its size. They are cut from chunks that are
// got in a way that AssemblyScript's own heap notices, so that a policy may use all of its standard library as well.
//   first chunk: heads of the free lists, u32 per size class; then blocks
const BLOCK_MIN: usize = 16;
const SIZE_CLASSES = 32;
const PAGE_BITS = 16;
const FIRST_CHUNK: usize = 1024;
/** More than a block's header and the smallest block after it. */
const HEAP_MARGIN = 64;
/** Of ASC_RUNTIME: a heap that only grows, from `__heap_base` on, and takes all of the memory for its own. */
const RUNTIME_STUB = 0;

/** A block of at least `size` bytes with any content, 0 if the module's memory is used up. */
export function allocate(size: usize): usize {
  const bytes = sizeClassBytes(size);
  const headAt = freeListAt(bytes);
  const head = load<u32>(headAt);
  if (head != 0) {
    store<u32>(headAt, load<u32>(head));
    return head;
  }
  if (<u64>top + bytes > <u64>chunkEnd && !takeChunk(bytes)) return takeOfLarger(bytes);
  const at = top;
  top += bytes;
  return at;
}

/** Gives back a block; `size` as it was asked for. */
export function release(at: usize, size: usize): void {
  const headAt = freeListAt(sizeClassBytes(size));
  store<u32>(at, load<u32>(headAt));
  store<u32>(headAt, <u32>at);
}

/** Cuts a released block that is larger, for when there is no more memory; 0 if there is none. */
function takeOfLarger(bytes: usize): usize {
  for (let larger = bytes << 1; larger != 0; larger <<= 1) {
    const headAt = freeListAt(larger);
    const at: usize = load<u32>(headAt);
    if (at == 0) continue;
    store<u32>(headAt, load<u32>(at));
    for (let half = larger >> 1; half >= bytes; half >>= 1) release(at + half, half);
    return at;
  }
  return 0;
}

/**
 * Begins a chunk with room for a block. Growing replaces the buffer under the host's views, so it is done seldom: by
 * doubling as long as that works.
 */
function takeChunk(bytes: usize): bool {
  const needed = <i32>((<u64>bytes + 0xffff) >>> PAGE_BITS);
  let pages = max(needed, memory.size());
  let at = takePages(pages);
  if (at == 0) {
    pages = needed;
    at = takePages(pages);
  }
  if (at == 0) return false;
  if (at != chunkEnd) {
    releaseRest();
    top = at;
  }
  chunkEnd = at + ((<usize>pages) << PAGE_BITS);
  return true;
}

/** 0 if there are fewer. */
function takePages(pages: i32): usize {
  if (ASC_RUNTIME == RUNTIME_STUB) return takeFromHeap((<usize>pages) << PAGE_BITS);
  // The other heaps keep to the pages that they took themselves.
  const first = memory.grow(pages);
  return first < 0 ? 0 : (<usize>first) << PAGE_BITS;
}

/**
 * A heap that only grows traps where it cannot: so the memory grows here as far as it is needed, before it is asked.
 */
function takeFromHeap(bytes: usize): usize {
  const probe = heap.alloc(1);
  heap.free(probe);
  const end = <u64>probe + bytes + HEAP_MARGIN;
  const available = (<u64>memory.size()) << PAGE_BITS;
  if (end > available && memory.grow(<i32>((end - available + 0xffff) >>> PAGE_BITS)) < 0) return 0;
  return heap.alloc(bytes);
}

/** What is left of a chunk becomes free blocks. */
function releaseRest(): void {
  while (top + BLOCK_MIN <= chunkEnd) {
    const left = <u32>(chunkEnd - top);
    const bytes = (<usize>1) << (31 - clz<u32>(left));
    release(top, bytes);
    top += bytes;
  }
}

function sizeClassBytes(size: usize): usize {
  return (<usize>1) << (32 - clz<u32>(<u32>max(size, BLOCK_MIN) - 1));
}

function freeListAt(bytes: usize): usize {
  return firstChunkAt + (ctz<usize>(bytes) << 2);
}

// The heap begins with this, before the first page is taken: it then knows where its part of the memory ends.
const firstChunkAt: usize = heap.alloc(FIRST_CHUNK);
memory.fill(firstChunkAt, 0, FIRST_CHUNK);
let top: usize = firstChunkAt + SIZE_CLASSES * sizeof<u32>();
let chunkEnd: usize = firstChunkAt + FIRST_CHUNK;
let serviceCount: u32 = 0;
let tableShift: u32 = 26; // 64 slots
let tableAt: usize = allocate(SLOT_SIZE << 6);
