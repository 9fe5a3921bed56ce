// What is wrong with a text that is no YAML, in words of this program: the library's own talk of its inner parts.

import { shortText } from "../../base/issues.ts";

/** What was expected, by the library's code of an error. */
const EXPECTED: Readonly<Record<string, string>> = {
  ALIAS_PROPS: "an alias without anchor or tag",
  BAD_ALIAS: "a name after * or &",
  BAD_COLLECTION_TYPE: "a value without a tag",
  BAD_DIRECTIVE: "no directive other than %YAML 1.2",
  BAD_DQ_ESCAPE: "an escape sequence of YAML after \\",
  BAD_INDENT: "the indentation of the lines that this one belongs to",
  BAD_PROP_ORDER: "an anchor or tag after - or ?",
  BAD_SCALAR_START: "quotes around a text that begins so",
  BLOCK_AS_IMPLICIT_KEY: 'one field per line, or quotes around a text with ": " in it',
  BLOCK_IN_FLOW: "fields and items in one line, as they are within [ ] or { }",
  KEY_OVER_1024_CHARS: "a field's name of at most 1024 characters",
  MISSING_CHAR: '":", "," or another sign between two values',
  MULTILINE_IMPLICIT_KEY: "the name of a field and : in one line",
  MULTIPLE_ANCHORS: "at most one anchor",
  MULTIPLE_TAGS: "at most one tag",
  TAB_AS_INDENT: "spaces as indentation",
  TAG_RESOLVE_FAILED: "a value without a tag",
  UNEXPECTED_TOKEN: "the end of the value",
};
/** Where one code stands for many things, the library's sentence tells which. */
const EXPECTED_BY_SENTENCE: readonly (readonly [sentence: RegExp, expected: string])[] = [
  [/Missing closing (["'])/, "a closing $1"],
  [/end with a (\S)/, "a closing $1"],
  [/^Missing , (?:or : )?between/, "a comma between two items"],
  [/^Missing space after :/, "a space after :"],
  [/^Implicit map keys need/, '":" after the name of a field'],
  [/without - indicator|sequence items must/, 'each item of a list with "- " at the same column'],
  [/^Unexpected (?:, in|empty item)/, "an item between two commas"],
];
const EXCERPT_LENGTH = 30;

/** `code` and `sentence` are the library's; `at` is the place in the text. */
export function yamlFault(code: string, sentence: string, text: string, at: number): string {
  const found = EXPECTED_BY_SENTENCE.find(([pattern]) => pattern.test(sentence));
  const expected =
    found === undefined ? (EXPECTED[code] ?? "YAML") : found[1].replace("$1", found[0].exec(sentence)?.[1] ?? "");
  return `expected ${expected}, found ${excerpt(text, at)}`;
}

function excerpt(text: string, at: number): string {
  if (at >= text.length) return "the end of the text";
  if (text[at] === "\t") return "a tab";
  const [line = ""] = text.slice(at, at + 2 * EXCERPT_LENGTH).split(/\r?\n/, 1);
  return line.trim() === "" ? "the end of the line" : shortText(line.trim(), EXCERPT_LENGTH);
}
