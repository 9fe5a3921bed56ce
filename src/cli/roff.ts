// Texts as roff sets them, with the macros of man(7).

const SPECIAL: Readonly<Record<string, string>> = {
  "\\": "\\(rs",
  "-": "\\-", // the character of options and paths, not a hyphen
  "'": "\\(aq",
  "`": "\\(ga",
  "^": "\\(ha",
  "~": "\\(ti",
  '"': "\\(dq", // within the argument of a macro a plain one would end it
};

/** Within a line or the argument of a macro: exactly these characters. Line breaks become spaces. */
export function escaped(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/[\\\-'`^~"]/g, (character) => SPECIAL[character] ?? character)
    .replace(/[^ -~]/gu, (character) => `\\[u${hex(character)}]`);
}

/** The same for prose, in which what is between two grave accents is bold. */
export function prose(text: string): string {
  return text.replace(/`([^`]+)`|[^`]+|`/g, (part, code?: string) => (code === undefined ? escaped(part) : bold(code)));
}

export function bold(text: string): string {
  return `\\fB${escaped(text)}\\fP`;
}

export function italic(text: string): string {
  return `\\fI${escaped(text)}\\fP`;
}

/** "-s, --socket <path>", "[name]", as commander writes them: what is typed is bold, what stands for something italic. */
export function syntax(text: string): string {
  return text.replace(/<([^>]+)>|\[([^\]]+)\]|[^\s,[<]+|[\s,[<]/g, (part, required?: string, optional?: string) => {
    if (required !== undefined) return italic(required);
    if (optional !== undefined) return `[${italic(optional)}]`;
    return /^[\s,[<]$/.test(part) ? part : bold(part);
  });
}

/** A line of text, of roff already: never a request, whatever it begins with. */
export function line(roff: string): string {
  return /^[.']/.test(roff) ? `\\&${roff}` : roff;
}

/** A section with its content; nothing when that is empty. */
export function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : [`.SH ${escaped(title)}`, ...lines];
}

/** A term and what is said of it; both are roff. */
export function entry(term: string, said: string): readonly string[] {
  return [".TP", line(term), line(said)];
}

/** Four digits at least, as groff and mandoc ask for. */
function hex(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}
