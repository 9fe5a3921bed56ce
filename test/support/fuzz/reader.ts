// A reader of what comes from outside, as something to be fuzzed.
import { SapwoodError } from "../../../src/base/errors.ts";

export interface Reader {
  readonly name: string;
  /** Input that it takes. */
  readonly seeds: readonly Uint8Array[];
  /** Words that mean something to it. */
  readonly words: readonly string[];
  /** Takes or refuses the input; throws a Fault when it does neither. */
  read(input: Uint8Array): void | Promise<void>;
  close?(): Promise<void>;
}

/** What no input may bring about. */
export class Fault extends Error {}

/** Calls what takes an input or refuses it with an error of the catalogue. */
export function takesOrRefuses(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    requireRefusal(error);
  }
}

/** An error that an input may cause says in a sentence what was expected; one of the program itself does not. */
export function requireRefusal(error: unknown): void {
  if (!(error instanceof SapwoodError) || error.code === "internal") throw new Fault("not refused", { cause: error });
  if (error.message.length > SENTENCE_MAX) throw new Fault(`a refusal of ${error.message.length} characters`);
}

/** A message names what was found; it does not repeat it all. */
const SENTENCE_MAX = 20_000;
