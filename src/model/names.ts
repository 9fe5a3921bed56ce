// Names of nodes and services: words of any script. They are compared as they are seen, so that a name that is typed in
// another composition of its characters is the same name (Unicode NFC, UAX #15).

/** Of the name in UTF-8. */
const NAME_BYTES_MAX = 253;
/**
 * Letters, marks, digits, punctuation and symbols. No space, no control and no private character, nothing that turns
 * the direction of text, nothing that is not seen, and no mark that would join what is before the name.
 */
const NAME = /^(?!\p{M})(?:(?!\p{Default_Ignorable_Code_Point})[\p{L}\p{M}\p{N}\p{P}\p{S}])+$/u;

export const NAME_RULE = `1 to ${NAME_BYTES_MAX} bytes of printable characters without spaces`;

/** The one form of a name. */
export function canonicalName(text: string): string {
  return text.normalize("NFC");
}

export function isName(text: string): boolean {
  return text === canonicalName(text) && NAME.test(text) && Buffer.byteLength(text) <= NAME_BYTES_MAX;
}
