// An option of the benchmarks that counts something.
import { InvalidArgumentError } from "commander";

/** Value of an option that is a number of things, at least one. */
export function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("expected a whole number above 0.");
  return number;
}
