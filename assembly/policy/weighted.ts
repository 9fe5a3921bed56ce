// Weighted: smooth weighted round robin, as nginx does it. With W the sum of the weights, each choice adds to every
// candidate its weight, chooses the one that has most, and takes W from it. Over any W choices in a row each gets
// exactly its weight, and those of a heavy one are spread among the others' instead of following each other.
// It begins anew when the candidates that take new flows, or their weights, change; nothing else disturbs it.

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
  const cycle = cycleOf(known);
  if (cycle != null) {
    if (cycle.digest == known.membersDigest) return UPDATE_DONE;
    cycle.free();
  }
  const begun = Cycle.begin(known);
  known.own = <u32>changetype<usize>(begun);
  return begun == null ? UPDATE_FULL : UPDATE_DONE;
}

export function choose(service: i32, flowHash: i32, _clientHash: i32): i32 {
  const known = Service.find(service);
  if (known == null || known.memberCount == 0) return CHOICE_NONE;
  const cycle = cycleOf(known);
  if (cycle == null) return CHOICE_NONE;
  if (cycle.first == NOT_STARTED) cycle.start(flowHash);
  return known.member(cycle.step());
}

function cycleOf(service: Service): Cycle | null {
  return changetype<Cycle | null>(<usize>service.own);
}

const NOT_STARTED: u32 = 0xffffffff;
const SHARE_SIZE: usize = 16;
/** Choices that a cycle may begin with as if they had been made: bounds the time that the first one takes. */
const SKIPPED_MAX: u64 = 64;

/** Where the rotation of a service is. One Share per member follows, in the members' order. */
@unmanaged
class Cycle {
  length: u64 = 0; // W
  digest: u64 = 0; // of the members that it began with
  count: u32 = 0;
  first: u32 = 0; // of equal ones, the next from here is chosen; NOT_STARTED before the first choice

  /** Null if there is no memory. */
  static begin(service: Service): Cycle | null {
    const count = service.memberCount;
    const at = allocate(sizeOf(count));
    if (at == 0) return null;
    const cycle = changetype<Cycle>(at);
    cycle.length = 0;
    cycle.digest = service.membersDigest;
    cycle.count = count;
    cycle.first = NOT_STARTED;
    for (let turn: u32 = 0; turn < count; turn++) {
      const share = cycle.share(turn);
      share.weight = service.memberCandidate(turn).weight;
      share.credit = 0;
      cycle.length += <u64>share.weight;
    }
    return cycle;
  }

  free(): void {
    release(changetype<usize>(this), sizeOf(this.count));
  }

  /**
   * Begins somewhere in the cycle, and with any of those of equal weight: otherwise every change, in every worker,
   * would send the next flow to the heaviest.
   */
  start(flowHash: i32): void {
    const random = scramble(<u64>(<u32>flowHash));
    this.first = <u32>(random >>> 32) % this.count;
    for (let skipped = <u64>(<u32>random) % min(this.length, SKIPPED_MAX); skipped > 0; skipped--) this.step();
  }

  /** One choice. */
  step(): u32 {
    let best = this.first;
    let most = i64.MIN_VALUE;
    let turn = this.first;
    do {
      const share = this.share(turn);
      const credit = share.credit + share.weight;
      share.credit = credit;
      if (credit > most) {
        most = credit;
        best = turn;
      }
      turn = turn + 1 == this.count ? 0 : turn + 1;
    } while (turn != this.first);
    this.share(best).credit = most - <i64>this.length;
    return best;
  }

  @inline
  private share(turn: u32): Share {
    return changetype<Share>(changetype<usize>(this) + offsetof<Cycle>() + <usize>turn * SHARE_SIZE);
  }
}

/** What a member is owed. */
@unmanaged
class Share {
  weight: i64 = 0;
  credit: i64 = 0;
}

function sizeOf(count: u32): usize {
  return offsetof<Cycle>() + <usize>count * SHARE_SIZE;
}
