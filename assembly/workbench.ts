// Entry for tests and benchmarks only: inner functions of the engine, to be held against slow twins one by one.

import { enter, leave } from "./area/generation.ts";
import { attachRegions, workerAt } from "./area/regions.ts";
import { addressDelta, update, wordDelta } from "./checksum/incremental.ts";
import { sipHash } from "./checksum/siphash.ts";
import { fold, sum } from "./checksum/sum.ts";
import { canChangeFamily, changeFamily } from "./family/header.ts";
import { toIcmpv4, toIcmpv6 } from "./family/icmp-type.ts";
import { rewrite } from "./nat/rewrite.ts";
import { emptyQueues } from "./queue/arena.ts";
import * as WorkerLayout from "./shared/layout/worker.ts";
import { DropReason } from "./shared/verdicts.ts";
import { findService } from "./table/address.ts";
import { addressHash } from "./table/hash.ts";
import { Packet } from "./wire/packet.ts";

export function attach(worker: u32, memoryBase: u64): void {
  attachRegions(worker, memoryBase);
}

/** Internet checksum (RFC 1071) of the bytes at `at`, as stored in memory. */
export function checksum(at: usize, length: u32): u32 {
  return <u16>~fold(sum(at, length));
}

/** The same `times` over, so that a benchmark measures the sum and not the call. */
export function checksumRepeated(at: usize, length: u32, times: u32): u32 {
  let last: u32 = 0;
  for (let i: u32 = 0; i < times; i++) last ^= checksum(at, length);
  return last;
}

export function updateWord(before: u32, from: u32, to: u32): u32 {
  return update(<u16>before, wordDelta(<u16>from, <u16>to));
}

export function updateAddress(before: u32, fromAt: usize, toAt: usize): u32 {
  return update(<u16>before, fold(addressDelta(v128.load(fromAt), v128.load(toAt))));
}

/** SipHash-2-4 of the 16 bytes at `at`. */
export function hashSip(keyAt: usize, at: usize): u64 {
  return sipHash(keyAt, load<u64>(at), load<u64>(at, 8));
}

export function hashAddress(key: usize): u32 {
  return addressHash(key);
}

/** Looks up `count` called addresses, 16 bytes each; returns how many there are. */
export function findServices(keys: usize, count: u32): u32 {
  enter();
  let found: u32 = 0;
  for (let i: u32 = 0; i < count; i++) found += u32(findService(keys + ((<usize>i) << 4)) != 0);
  leave();
  return found;
}

/** DropReason of the packet at `at`. */
export function parse(at: u32, length: u32): u32 {
  return Packet.at(workerAt + WorkerLayout.SCRATCH).parse(at, length);
}

export function parseRepeated(at: u32, length: u32, times: u32): u32 {
  let last: u32 = 0;
  for (let i: u32 = 0; i < times; i++) last ^= parse(at, length);
  return last;
}

/** Copies `count` frames of `length` bytes that lie `fromStride` apart to places that lie `toStride` apart. */
export function copyEach(from: usize, fromStride: u32, to: usize, toStride: u32, length: u32, count: u32): void {
  for (let i: u32 = 0; i < count; i++) memory.copy(to + i * toStride, from + i * fromStride, length);
}

/** Stores `first` and the numbers that follow it, as ports, at `count` places that lie `stride` apart. */
export function storePorts(at: usize, stride: u32, first: u32, count: u32): void {
  for (let i: u32 = 0; i < count; i++) store<u16>(at + i * stride, bswap<u16>(<u16>(first + i)));
}

/**
 * Gives the packet at `at` a header of the other family with the two addresses at `addresses`; `isDetached` as in
 * changeFamily(). Its DropReason, or where it is now is left at `result`: address and length of the headers,
 * address and length of the payload.
 */
export function translateFamily(at: u32, length: u32, addresses: usize, isDetached: bool, result: usize): u32 {
  emptyQueues();
  const packet = Packet.at(workerAt + WorkerLayout.SCRATCH);
  const invalid = packet.parse(at, length);
  if (invalid != DropReason.none) return invalid;
  const refused = canChangeFamily(packet);
  if (refused != DropReason.none) return refused;
  const source = v128.load(addresses);
  const destination = v128.load(addresses, 16);
  const delta = fold(addressDelta(packet.source, source) + addressDelta(packet.destination, destination));
  changeFamily(packet, 1, 0, isDetached);
  rewrite(packet, source, destination, packet.ports, delta, false);
  store<u32>(result, packet.at);
  store<u32>(result, packet.headerLength, 4);
  store<u32>(result, packet.payloadAt, 8);
  store<u32>(result, packet.payloadLength, 12);
  return DropReason.none;
}

/** Type, code and second word of an ICMP error in the other family, one behind the other; 0 = it has none there. */
export function icmpCounterpart(isIpv4: bool, type: u32, code: u32, word: u32, quotedLength: u32, linkMtu: u32): u64 {
  return isIpv4 ? toIcmpv6(type, code, word, quotedLength, linkMtu) : toIcmpv4(type, code, word, linkMtu);
}
