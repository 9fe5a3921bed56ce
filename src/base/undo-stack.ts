// What was done and how to undo it, so that a start that fails half-way leaves nothing behind.

type Undo = () => void | Promise<void>;

export class UndoStack {
  readonly #steps: { readonly what: string; readonly undo: Undo }[] = [];
  readonly #onFailure: (what: string, error: unknown) => void;
  #running: Promise<void> | undefined;

  /** `onFailure` is told of steps that could not be undone; the others are undone nevertheless. */
  constructor(onFailure: (what: string, error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** `what` completes the sentence "could not ...". */
  add(what: string, undo: Undo): void {
    this.#steps.push({ what, undo });
  }

  /** The stack of a part that is opened at the same time as others: its steps are undone together, in this place. */
  part(what: string): UndoStack {
    const part = new UndoStack(this.#onFailure);
    this.add(what, () => part.run());
    return part;
  }

  /** Undoes everything, the last step first. Twice is harmless. */
  run(): Promise<void> {
    this.#running ??= this.#undoAll();
    return this.#running;
  }

  async #undoAll(): Promise<void> {
    for (const { what, undo } of this.#steps.splice(0).reverse()) {
      try {
        await undo();
      } catch (error) {
        this.#onFailure(what, error);
      }
    }
  }
}
