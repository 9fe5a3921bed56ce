// The hashes of the tables, with keys that are drawn at start and shown to nobody, and those that policies get, which
// are the same on every node and after every start, so that their choices can be, too.
//
// Both hashes of the tables are the family Multilinear-HM of Lemire and Kaser, "Strongly universal string hashing is
// fast" (The Computer Journal 57(11), 2014, section 2.2). For words s of 32 bits and independent random keys m of 64:
//   h = m0 + (m1 + s1)(m2 + s2) + (m3 + s3)(m4 + s4) + ...   modulo 2^64
// Its upper 33 bits are strongly universal: of two different keys of the same length, each pair of values is equally
// likely. So who does not know the 704 bits of m (320 for addresses) makes two keys meet in n of these bits with a
// probability of 2^-n, whatever the keys are. The lower 31 bits promise nothing, and are not used. No bit of a hash
// leaves the engine: ports, identifiers and choices that others see come from elsewhere.

import { Flow } from "../record/flow.ts";
import * as HeaderLayout from "../shared/layout/header.ts";

/** The upper 32 bits of the hash of the 16 bytes at `key`; src/memory/hash.ts is its twin, which places the keys. */
export function addressHash(key: usize): u32 {
  const m = HeaderLayout.AT + HeaderLayout.ADDRESS_HASH_KEY;
  return <u32>((load<u64>(m) + product(m, load<u64>(key)) + product(m + 16, load<u64>(key, 8))) >>> 32);
}

/**
 * Hash of a flow key: source, destination, both ports as they are in the packet, protocol. Only bits 31 to 63 may be
 * used. The five products do not wait for each other.
 */
export function flowHash(source: v128, destination: v128, ports: u32, protocol: u32): u64 {
  const m = HeaderLayout.AT + HeaderLayout.FLOW_HASH_KEY;
  return (
    load<u64>(m) +
    product(m, i64x2.extract_lane(source, 0)) +
    product(m + 16, i64x2.extract_lane(source, 1)) +
    product(m + 32, i64x2.extract_lane(destination, 0)) +
    product(m + 48, i64x2.extract_lane(destination, 1)) +
    (load<u64>(m, 72) + ports) * (load<u64>(m, 80) + protocol)
  );
}

/** The same of a flow record's own key. */
export function forwardHash(flow: usize): u64 {
  return flowHash(Flow.at(flow).client, Flow.at(flow).called, Flow.at(flow).ports, Flow.at(flow).protocol);
}

/** Of two words, with the two keys that follow the one at `m`. */
function product(m: usize, words: u64): u64 {
  return (load<u64>(m, 8) + (words & 0xffffffff)) * (load<u64>(m, 16) + (words >>> 32));
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
