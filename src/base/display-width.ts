// How many columns of a terminal a text takes: East Asian wide characters take two, combining characters none.

import { eastAsianWidth } from "get-east-asian-width";

/** One column per character: no control characters, and nothing beyond ASCII. */
const PLAIN = /^[\x20-\x7e]*$/;
/** Characters that are shown in the column of the one before them, or in none. */
const WITHOUT_COLUMN = /[\p{Mn}\p{Me}\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u1160-\u11ff\ud7b0-\ud7ff]/u;
/** What makes one picture of several characters: joiners, emoji presentation, skin tones, and pairs that are flags. */
const PICTURE_PART = /[\u200d\ufe0f\u{1f3fb}-\u{1f3ff}\u{1f1e6}-\u{1f1ff}]/u;
const PICTURE = /^(?:\p{Extended_Pictographic}|\p{Emoji}\ufe0f|[\u{1f1e6}-\u{1f1ff}]{2})/u;
const PICTURE_WIDTH = 2;

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Columns of a text without line breaks. */
export function displayWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  if (!PICTURE_PART.test(text)) return charactersWidth(text);
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    const isPicture = PICTURE_PART.test(segment) && PICTURE.test(segment);
    width += isPicture ? PICTURE_WIDTH : charactersWidth(segment);
  }
  return width;
}

/** The beginning of a text, as far as it fits. */
export function cutToWidth(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let cut = "";
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += displayWidth(segment);
    if (width > columns) break;
    cut += segment;
  }
  return cut;
}

function charactersWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (!WITHOUT_COLUMN.test(character)) width += eastAsianWidth(character.codePointAt(0) ?? 0);
  }
  return width;
}
