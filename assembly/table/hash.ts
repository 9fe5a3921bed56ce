// The hashes of the tables, which are seeded at start so that nobody can choose keys that collide; and those that
// policies get, which are the same on every node and after every start, so that their choices can be, too.

import { hashSeed } from "./regions.ts";

/** Hash of the 16 bytes at `key`; src/memory/hash.ts is its twin, which places the keys. */
export function addressHash(key: usize): u32 {
  let h = mixAddress(hashSeed, load<u32>(key));
  h = mixAddress(h, load<u32>(key, 4));
  h = mixAddress(h, load<u32>(key, 8));
  h = mixAddress(h, load<u32>(key, 12)) * 0x85ebca77;
  return h ^ (h >>> 13);
}

function mixAddress(hash: u32, word: u32): u32 {
  const h = (hash ^ word) * 0x9e3779b1;
  return h ^ (h >>> 15);
}

/**
 * Hash of a flow key: source, destination, both ports as they stand in the packet, protocol.
 * The five products do not wait for each other; the last lines spread them over all bits.
 */
export function flowHash(source: v128, destination: v128, ports: u32, protocol: u32): u64 {
  const seed = ((<u64>hashSeed) << 32) | hashSeed;
  let h = (i64x2.extract_lane(source, 0) + seed) * 0x9e3779b97f4a7c15;
  h ^= rotl<u64>((i64x2.extract_lane(source, 1) + seed) * 0xc2b2ae3d27d4eb4f, 16);
  h ^= rotl<u64>((i64x2.extract_lane(destination, 0) + seed) * 0x165667b19e3779f9, 32);
  h ^= rotl<u64>((i64x2.extract_lane(destination, 1) + seed) * 0xd6e8feb86659fd93, 48);
  h ^= ((((<u64>protocol) << 32) | ports) + seed) * 0xff51afd7ed558ccd;
  h ^= h >>> 32;
  h *= 0xc4ceb9fe1a85ec53;
  return h ^ (h >>> 29);
}

/**
 * What policies know a client by: hash of its instance address, which follows it wherever it runs.
 * Collisions only make clients share a choice, so it has no seed.
 */
export function policyClientHash(client: v128): u32 {
  const h = mixWord(mixWord(0, i64x2.extract_lane(client, 0)), i64x2.extract_lane(client, 1));
  return <u32>(h >>> 32);
}

/** What policies know a flow by: client's instance address, called address, ports as in the packet, protocol. */
export function policyFlowHash(client: v128, called: v128, ports: u32, protocol: u32): u32 {
  let h = mixWord(mixWord(0, i64x2.extract_lane(client, 0)), i64x2.extract_lane(client, 1));
  h = mixWord(mixWord(h, i64x2.extract_lane(called, 0)), i64x2.extract_lane(called, 1));
  h = mixWord(h, ((<u64>protocol) << 32) | ports);
  return <u32>(h >>> 32);
}

/** Adds a word: every bit of the result depends on every bit of both (the finaliser of MurmurHash3). */
function mixWord(hash: u64, word: u64): u64 {
  let h = (hash + 0x9e3779b97f4a7c15) ^ word;
  h = (h ^ (h >>> 33)) * 0xff51afd7ed558ccd;
  h = (h ^ (h >>> 33)) * 0xc4ceb9fe1a85ec53;
  return h ^ (h >>> 33);
}
