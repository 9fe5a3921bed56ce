// How large a datagram fits the path to a node, by the slow twin: what probes of sizes say (RFC 8899).

/**
 * Smaller path MTUs are not believed, as Linux does not (net.ipv4.route.min_pmtu 552, less 48 bytes of outer headers).
 */
const SIZE_MIN = 504;
/** So many probes of a size are lost before it is one that does not pass. */
const TRIES_MAX = 3;
/** What is overtaken on its way arrives by then. */
const REORDER_MS = 100;
const CHECK_MS = 2000;
const HINT_PAUSE_MS = 10_000;
const RAISE_MS = 60_000;
/** A hint about a node that answers no probes. */
const BELIEF_MS = 600_000;

interface Search {
  readonly isHint: boolean;
  guess: number;
  /** Sizes known to pass, and not to pass. */
  readonly passing: Set<number>;
  readonly failing: Set<number>;
  /** What is tried now, and how its tries went. */
  trial: number;
  lost: number;
  witness: { readonly number: number; readonly triedMs: number } | undefined;
}

/** Answers to the small probes, by their numbers. */
interface Witnesses {
  isAnswered(number: number): boolean;
  /** Milliseconds since it was sent. */
  age(number: number): number;
  /** After so long without an answer a witness is given up. */
  readonly patienceMs: number;
}

export class TwinPathSize {
  /** Largest packet that fits, as probes proved; undefined = no limit was met. */
  mtu: number | undefined;
  /** Larger datagrams may be sent in fragments; undefined = none. */
  whole: number | undefined;
  isLargeSent = false;
  hint: number | undefined;
  private deviceMtu: number | undefined;
  private search: Search | undefined;
  private isFirst = true;
  private hintedMs: number | undefined;
  private checkedMs = 0;
  private raisedMs = 0;
  private believedMs = 0;

  constructor(
    private readonly fullSize: number,
    private readonly tell: { readonly disproved: () => void; readonly learnt: () => void },
  ) {}

  /** The kernel says what its device takes. */
  learnDevice(size: number): void {
    if (size < SIZE_MIN) return;
    this.deviceMtu = size;
    if ((this.mtu ?? Number.POSITIVE_INFINITY) > size) this.adopt(size);
  }

  learnHint(size: number): void {
    if (size >= SIZE_MIN) this.hint = size;
  }

  passed(size: number): void {
    this.search?.passing.add(size);
  }

  /** Goes on; returns the size to probe now. */
  step(health: "unknown" | "reachable" | "lost", ms: number, witnesses: Witnesses): number | undefined {
    const { hint } = this;
    this.hint = undefined;
    if (health === "unknown") this.believe(hint, ms);
    if (health !== "reachable") return undefined;
    if (this.search === undefined) this.begin(hint, ms);
    else if (hint !== undefined) this.search.guess = hint;
    this.settle(ms, witnesses);
    const search = this.search as Search | undefined;
    return search !== undefined && search.witness === undefined ? search.trial : undefined;
  }

  /** The size was probed, and behind it the small probe with this number sent. */
  tried(number: number, ms: number): void {
    if (this.search !== undefined) this.search.witness = { number, triedMs: ms };
  }

  private believe(hint: number | undefined, ms: number): void {
    if (hint !== undefined) {
      this.whole = hint;
      this.believedMs = ms;
    } else if (this.whole !== undefined && ms - this.believedMs >= BELIEF_MS) {
      this.whole = this.mtu;
    }
  }

  private begin(hint: number | undefined, ms: number): void {
    const inUse = this.inUse();
    if (this.isFirst) {
      this.isFirst = false;
      this.raisedMs = ms;
      this.search = newSearch(false, SIZE_MIN, this.largest(), hint);
    } else if (
      hint !== undefined &&
      hint < inUse &&
      (this.hintedMs === undefined || ms - this.hintedMs >= HINT_PAUSE_MS)
    ) {
      this.hintedMs = ms;
      this.search = newSearch(true, SIZE_MIN, inUse, hint);
      this.whole = hint;
    } else if (this.isLargeSent && ms - this.checkedMs >= CHECK_MS) {
      this.isLargeSent = false;
      this.search = newSearch(false, SIZE_MIN, inUse);
    } else if (this.mtu !== undefined && ms - this.raisedMs >= RAISE_MS) {
      this.raisedMs = ms;
      this.deviceMtu = undefined;
      this.search = newSearch(false, this.mtu, this.fullSize, this.mtu);
    }
  }

  private settle(ms: number, witnesses: Witnesses): void {
    const { search } = this;
    if (search === undefined) return;
    const { trial, passing, failing } = search;
    const largest = this.largest();
    const isTooLong = trial > largest;
    if (isTooLong) failing.add(largest + 1);
    else if (Math.max(...passing) < trial) {
      if (!this.isLost(search, ms, witnesses)) return;
      failing.add(trial);
    }
    const low = Math.max(...passing);
    if (low >= Math.min(...failing)) {
      failing.clear();
      failing.add(Math.max(largest, low) + 1);
    }
    const high = Math.min(...failing);
    if (high - low <= 1) return this.finish(search, low, ms);
    if (high <= this.inUse()) this.whole = low;
    const { guess } = search;
    const between = guess > low && guess < high ? guess : guess === low ? low + 1 : Math.floor((low + high) / 2);
    search.trial = isTooLong ? largest : between;
    search.lost = 0;
    search.witness = undefined;
  }

  private isLost(search: Search, ms: number, witnesses: Witnesses): boolean {
    const { witness } = search;
    if (witness === undefined) return false;
    if (!witnesses.isAnswered(witness.number)) {
      if (witnesses.age(witness.number) >= witnesses.patienceMs) search.witness = undefined;
      return false;
    }
    if (ms - witness.triedMs < REORDER_MS) return false;
    search.witness = undefined;
    search.lost += 1;
    return search.lost === TRIES_MAX;
  }

  private finish({ isHint }: Search, low: number, ms: number): void {
    if (isHint && low >= this.inUse()) this.tell.disproved();
    else if (low < this.largest()) this.tell.learnt();
    this.adopt(low >= this.fullSize ? undefined : low);
    this.search = undefined;
    this.checkedMs = ms;
  }

  private adopt(mtu: number | undefined): void {
    this.mtu = mtu;
    this.whole = mtu;
  }

  private inUse(): number {
    return this.mtu ?? this.largest();
  }

  private largest(): number {
    return Math.min(this.deviceMtu ?? this.fullSize, this.fullSize);
  }
}

function newSearch(isHint: boolean, low: number, first: number, guess = 0): Search {
  return {
    isHint,
    guess,
    passing: new Set([low]),
    failing: new Set([first + 1]),
    trial: first,
    lost: 0,
    witness: undefined,
  };
}
