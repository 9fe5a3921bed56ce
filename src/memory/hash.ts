// The hash that places addresses in the address and workload tables: the host's twin of assembly/table/hash.ts, which
// finds them there. Both must agree bit for bit.

/** Hash of the four little-endian words of an address, seeded at start so that nobody can choose keys that collide. */
export function addressHash(seed: number, w0: number, w1: number, w2: number, w3: number): number {
  let h = mix(seed, w0);
  h = mix(h, w1);
  h = mix(h, w2);
  h = Math.imul(mix(h, w3), 0x85ebca77);
  return (h ^ (h >>> 13)) >>> 0;
}

function mix(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x9e3779b1);
  return h ^ (h >>> 15);
}
