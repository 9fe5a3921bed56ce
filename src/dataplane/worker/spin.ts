// Whether a worker that has nothing to do looks on for a while instead of sleeping: `latency: low`. Whoever sleeps is
// woken by an interrupt to another processor, which costs a packet more than everything else on its way.
// Promises: looks on only where processors are free and only as long as it pays, by its own measure; never without
// traffic, and never longer than SPIN_US after the last packet.

interface SpinOptions {
  /** Microseconds in which processors of this machine had nothing to do, summed over all; NaN: not known. */
  readonly idleUs: () => number;
}

/** After the last packet; a round trip between two machines of one network is shorter. */
const SPIN_US = 200;
/** What a wake-up that was saved is worth: so much time of a processor that nobody else wants. */
const WAKE_UP_US = 100;
/** Of a processor, whatever comes of it: a node that hears only probes now and then has not been judged. */
const SHARE_MIN = 0.05;
/** Looks are judged, and free processors counted, this often while there are packets. */
const WINDOW_US = 100_000;
/** Processors that must be free: the one that is spun on, and one more. */
const FREE_MIN = 2;
/** From one look to the next; when it was more, somebody else had the processor, or a quota was used up. */
const TAKEN_US = 500;
/** For how long it sleeps as others do, when looking did not pay or the processor was taken: twice as long each time. */
const PAUSE_MIN_US = 100_000;
const PAUSE_MAX_US = 10_000_000;

export class Spin {
  readonly #idleUs: () => number;
  #untilUs = 0; // looks on until then
  #lookedUs = 0; // when the last look began that found nothing; 0: none before this one
  #windowUs: number;
  #windowIdleUs: number;
  #spunUs = 0; // in this window
  #found = 0; // looks of this window that found a packet
  #isFree = false; // as the last window said
  #pauseUs = PAUSE_MIN_US;
  #pausedUntilUs = 0;

  constructor({ idleUs }: SpinOptions, nowUs: number) {
    this.#idleUs = idleUs;
    this.#windowUs = nowUs;
    this.#windowIdleUs = idleUs();
  }

  /** Whether to look once more; asked before each wait. */
  mayLook(nowUs: number): boolean {
    if (this.#untilUs === 0) return false;
    if (this.#lookedUs !== 0) this.#count(this.#lookedUs, nowUs);
    if (nowUs < this.#untilUs) return true;
    this.#untilUs = 0;
    this.#lookedUs = 0;
    return false;
  }

  /** What came of a wait that began at `begunUs`. `wasLook`: mayLook() said so. */
  note(begunUs: number, nowUs: number, wasLook: boolean, hasWorked: boolean): void {
    if (!hasWorked) {
      if (wasLook) this.#lookedUs = begunUs;
      return;
    }
    if (wasLook) {
      this.#found += 1;
      this.#count(begunUs, nowUs);
    }
    this.#lookedUs = 0;
    if (nowUs - this.#windowUs >= WINDOW_US) this.#judge(nowUs);
    this.#untilUs = this.#isFree && nowUs >= this.#pausedUntilUs ? nowUs + SPIN_US : 0;
  }

  #count(fromUs: number, toUs: number): void {
    this.#spunUs += toUs - fromUs;
    if (toUs - fromUs > TAKEN_US) this.#pause(toUs);
  }

  /** What was spun here counts as free: otherwise spinning would forbid itself. */
  #judge(nowUs: number): void {
    const idleUs = this.#idleUs();
    const elapsedUs = nowUs - this.#windowUs;
    this.#isFree = (idleUs - this.#windowIdleUs + this.#spunUs) / elapsedUs >= FREE_MIN;
    if (this.#spunUs > Math.max(this.#found * WAKE_UP_US, elapsedUs * SHARE_MIN)) this.#pause(nowUs);
    else if (this.#found > 0) this.#pauseUs = PAUSE_MIN_US;
    this.#windowUs = nowUs;
    this.#windowIdleUs = idleUs;
    this.#spunUs = 0;
    this.#found = 0;
  }

  #pause(nowUs: number): void {
    this.#untilUs = 0;
    this.#pausedUntilUs = nowUs + this.#pauseUs;
    this.#pauseUs = Math.min(PAUSE_MAX_US, 2 * this.#pauseUs);
  }
}
