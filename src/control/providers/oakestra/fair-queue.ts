// What is to be done for several askers, of whom each has its turn. So many things may be underway at once; beyond that
// an asker that has none underway may have one, so that nobody waits for what others have asked for.

export class FairQueue<Thing> {
  readonly #limit: number;
  readonly #waiting = new Map<number, Set<Thing>>(); // by asker, in the order of their turns
  readonly #underway = new Map<number, number>(); // how many, by asker
  #underwayCount = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Behind what the asker has asked for before; nothing when that has it already. */
  add(asker: number, thing: Thing): void {
    const own = this.#waiting.get(asker);
    if (own === undefined) this.#waiting.set(asker, new Set([thing]));
    else own.add(thing);
  }

  remove(asker: number, thing: Thing): void {
    const own = this.#waiting.get(asker);
    own?.delete(thing);
    if (own?.size === 0) this.#waiting.delete(asker);
  }

  /**
   * The next thing, which is underway from now on, and whose turn it was. In its turn an asker loses what it does not
   * want any more: a burst that is over holds up nobody.
   */
  take(isWanted: (thing: Thing) => boolean): { readonly thing: Thing; readonly asker: number } | undefined {
    const isFull = this.#underwayCount >= this.#limit;
    for (const [asker, own] of this.#waiting) {
      const ownUnderway = this.#underway.get(asker) ?? 0;
      if (isFull && ownUnderway > 0) continue;
      this.#waiting.delete(asker);
      const thing = takeFirst(own, isWanted);
      if (own.size > 0) this.#waiting.set(asker, own); // behind all others
      if (thing === undefined) continue;
      this.#underway.set(asker, ownUnderway + 1);
      this.#underwayCount += 1;
      return { thing, asker };
    }
    return undefined;
  }

  /** One that was underway is not any more. */
  end(asker: number): void {
    const left = (this.#underway.get(asker) ?? 0) - 1;
    if (left > 0) this.#underway.set(asker, left);
    else this.#underway.delete(asker);
    this.#underwayCount -= 1;
  }
}

/** Takes it out, and all in front of it. */
function takeFirst<Thing>(things: Set<Thing>, isWanted: (thing: Thing) => boolean): Thing | undefined {
  for (const thing of things) {
    things.delete(thing);
    if (isWanted(thing)) return thing;
  }
  return undefined;
}
