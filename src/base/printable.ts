// What may go to a terminal. Files, names, peers and modules hold any characters; some of them move the cursor, change
// colours and titles, answer as if somebody typed, or turn the direction of what follows.

/** Control characters but for line feed and tab, line separators, and what sets the direction of text (UAX #9). */
const UNPRINTABLE = /(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;
const UNPRINTABLE_IN_LINE = /[\p{Cc}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** The text with "\u001b" in the place of such a character: in JSON that means the same. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** The same for what must stay on one line: a name, a path, a value that was found. */
export function printableLine(text: string): string {
  return text.replace(UNPRINTABLE_IN_LINE, escaped);
}

/** All of them are one UTF-16 unit. */
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
