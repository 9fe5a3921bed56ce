// Options of the benchmarks that are numbers.
import { InvalidArgumentError } from "commander";

/** Value of an option that is a number of things, at least one. */
export function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("expected a whole number above 0.");
  return number;
}

/** Value of an option that limits a quantity: above 0. */
export function limit(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError("expected a number above 0.");
  return number;
}
