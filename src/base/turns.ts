// Work that must not overlap.

export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Begins when all that was taken before is done, whether it succeeded or not. */
  take<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined); // the caller is told
    return done;
  }
}
