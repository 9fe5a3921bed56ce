// MSS clamping by the slow twin: a SYN promises no larger segments than its way takes (RFC 9293 section 3.7.1).
import { incremental, words } from "./checksum.ts";
import type { ParsedPacket } from "./parser.ts";
import type { ChecksumState } from "./rewrite.ts";

const END = 0;
const NO_OPERATION = 1;
const MSS = 2;
const MSS_LENGTH = 4;

/** Lowers what a SYN promises to `largest`, in place; undefined when there was nothing to lower. */
export function clampMss(
  bytes: Uint8Array,
  { headerLength, transportLength }: ParsedPacket,
  largest: number,
  state: ChecksumState,
): "even" | "odd" | undefined {
  const tcp = bytes.subarray(headerLength, headerLength + transportLength);
  const at = mssAt(tcp);
  if (at === undefined) return undefined;
  const view = new DataView(tcp.buffer, tcp.byteOffset, tcp.byteLength);
  if (view.getUint16(at) <= largest) return undefined;
  const isOdd = at % 2 === 1;
  // The words of the checksum that it is in: one, or half of two.
  const covered = isOdd ? tcp.subarray(at - 1, at + 3) : tcp.subarray(at, at + 2);
  const before = words(covered);
  view.setUint16(at, largest);
  const after = words(covered);
  // An unfinished checksum covers the pseudo-header alone.
  if (state === "whole") view.setUint16(16, incremental(view.getUint16(16), before, after));
  return isOdd ? "odd" : "even";
}

/** Where in a TCP header the value of the MSS option is (RFC 9293 section 3.2). */
function mssAt(tcp: Uint8Array): number | undefined {
  for (let at = 20; at + MSS_LENGTH <= tcp.length; ) {
    const [kind = END, length = 0] = tcp.subarray(at, at + 2);
    if (kind === END) return undefined;
    if (kind === NO_OPERATION) {
      at += 1;
      continue;
    }
    // RFC 9293 section 3.1: no option is shorter than its kind and length.
    if (length < 2) return undefined;
    if (kind === MSS) return length === MSS_LENGTH ? at + 2 : undefined;
    at += length;
  }
  return undefined;
}
