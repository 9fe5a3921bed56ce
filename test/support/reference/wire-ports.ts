// The client's port on the wire when its own is taken there: all ports but the well-known ones in one order, in which
// each search goes on where the last one ended.

const LOWEST = 1024;
const COUNT = 65_536 - LOWEST;
/** Shares no divisor with COUNT, so that the steps meet each port once. */
const STEP = 39_979;
/** Ports that one packet may try. */
const TRIES = 4096;

export class TwinWirePorts {
  private last = 0;

  /** Where the engine's search goes on. */
  goOnAt(last: number): void {
    this.last = last;
  }

  /** The next port that is free. */
  next(isTaken: (port: number) => boolean): number {
    for (let tries = 0; tries < TRIES; tries++) {
      this.last = ((this.last % COUNT) + STEP) % COUNT;
      if (!isTaken(LOWEST + this.last)) return LOWEST + this.last;
    }
    throw new Error(`no free port among ${TRIES}`);
  }
}
