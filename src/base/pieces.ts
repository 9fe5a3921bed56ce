// Long texts in pieces, so that none is longer than a string may be and the event loop has its turn between two of
// them.

/** Fewer characters cost more calls, more of them cost memory. */
const PIECE_LENGTH = 65_536;

/** The same text in pieces of about PIECE_LENGTH, none of them empty. */
export function* inPieces(parts: Iterable<string>): Generator<string> {
  let piece = "";
  for (const part of parts) {
    piece += part;
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = "";
  }
  if (piece !== "") yield piece;
}

/** A list as JSON, in such pieces: an item is asked for when those before it have been taken. */
export function* listJson(items: Iterable<unknown>): Generator<string> {
  yield* inPieces(
    (function* () {
      yield "[";
      let isFirst = true;
      for (const item of items) {
        yield (isFirst ? "" : ",") + JSON.stringify(item);
        isFirst = false;
      }
      yield "]";
    })(),
  );
}
