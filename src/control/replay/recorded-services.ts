// Which services the comments of a capture name: whether it was recorded with the tables that it is replayed with.

import { shortText } from "../../base/issues.ts";

/** Of a file that names very many, these are told. */
const TOLD_MAX = 20;

export class RecordedServices {
  readonly #known: ReadonlySet<string>;
  readonly #unknown = new Set<string>();
  #areKnown = false;

  constructor(known: Iterable<string>) {
    this.#known = new Set(known);
  }

  /** The comment of a packet. */
  add(comment: string): void {
    const name = comment.split("; ").find((field) => field.startsWith("service="));
    if (name === undefined) return;
    const service = name.slice("service=".length);
    if (this.#known.has(service)) this.#areKnown = true;
    else if (this.#unknown.size < TOLD_MAX) this.#unknown.add(shortText(service));
  }

  /** Services are named, and none is known. */
  get areForeign(): boolean {
    return !this.#areKnown && this.#unknown.size > 0;
  }

  unknown(): string[] {
    return [...this.#unknown];
  }
}
