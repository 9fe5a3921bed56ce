// Server-sent events out of a text that comes in pieces (WHATWG HTML, section 9.2). The browser's own EventSource cannot
// send a token in a header, and one in the address would be in logs.

export interface StreamEvent {
  readonly name: string;
  readonly data: string;
}

/** A function that is given the pieces in their order, and returns the events that are whole by then. */
export function eventParser(): (piece: string) => StreamEvent[] {
  let rest = "";
  return (piece) => {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop() ?? "";
    return blocks.map(eventOf);
  };
}

function eventOf(block: string): StreamEvent {
  const fields = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line));
  const all = (field: string): string[] => fields.flatMap((match) => (match?.[1] === field ? [match[2] ?? ""] : []));
  return { name: all("event").at(-1) ?? "message", data: all("data").join("\n") };
}
