// What a proxy listens at, which it closes and may open again: for another process that takes over, and after one that
// did not come to it.

interface Closable {
  close(): Promise<void> | void;
}

type Opening = () => Promise<Closable | undefined> | Closable | undefined;

export class Listeners {
  readonly #openings: Opening[] = [];
  #opened: Closable[] = [];

  /** In the order of opening. */
  add(opening: Opening): void {
    this.#openings.push(opening);
  }

  /** Opens all. Throws what the first one throws; those before it are open. */
  async open(): Promise<void> {
    for (const opening of this.#openings) {
      const opened = await opening();
      if (opened !== undefined) this.#opened.push(opened);
    }
  }

  /** Closes those that are open, the last one first. Twice is harmless. */
  async close(): Promise<void> {
    for (const opened of this.#opened.splice(0).reverse()) await opened.close();
  }
}
