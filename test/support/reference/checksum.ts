// The Internet checksum as RFC 1071 defines it, word by word, and RFC 1624's incremental update.
// Slow and obvious on purpose: the oracle of the engine's checksum code and its opponent in the benchmarks.

/** Adds the carries back in until 16 bits are left. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}

/** One's-complement sum of the big-endian 16-bit words of bytes[start...end-1]; an odd last byte is a high byte. */
export function sumWords(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let sum = 0;
  let at = start;
  for (; at + 1 < end; at += 2) sum += (bytes[at] as number) * 256 + (bytes[at + 1] as number);
  if (at < end) sum += (bytes[at] as number) * 256;
  return fold(sum);
}

/** RFC 793, RFC 768 and RFC 8200 section 8.1: the sum of the pseudo-header. The v6 one has the same words. */
export function pseudoHeaderSum(source: Uint8Array, destination: Uint8Array, protocol: number, length: number): number {
  return fold(sumWords(source) + sumWords(destination) + protocol + (length >>> 16) + (length & 0xffff));
}

/** RFC 1624 equation 3: HC' = ~(~HC + ~m + m'), over pairs of words that were replaced. */
export function incremental(checksum: number, before: readonly number[], after: readonly number[]): number {
  let sum = ~checksum & 0xffff;
  for (const word of before) sum += ~word & 0xffff;
  for (const word of after) sum += word;
  return ~fold(sum) & 0xffff;
}

/** The same for a field that holds a plain sum: the partial sum of a frame whose checksum the device finishes. */
export function incrementalSum(partial: number, before: readonly number[], after: readonly number[]): number {
  let sum = partial;
  for (const word of before) sum += ~word & 0xffff;
  for (const word of after) sum += word;
  return fold(sum);
}

/** The big-endian 16-bit words of some bytes. */
export function words(bytes: Uint8Array): number[] {
  const result: number[] = [];
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    result.push((bytes[at] as number) * 256 + (bytes[at + 1] as number));
  }
  return result;
}
