// What a batch led to, and how it is compared.

import { expect } from "vitest";
import * as Protocol from "../../assembly/shared/protocol.ts";
import { DropReason } from "../../assembly/shared/verdicts.ts";
import * as Virtio from "../../assembly/shared/virtio.ts";
import type { SentMessage } from "./engine-memory.ts";
import { virtioFrame } from "./packet-builder.ts";
import { expectSame } from "./quick-expect.ts";
import { pseudoHeaderSum } from "./reference/checksum.ts";
import type { Counts } from "./reference/counts.ts";
import type { Choice } from "./reference/flows.ts";
import { parse, parseOffload } from "./reference/parser.ts";
import { segment } from "./reference/segmenter.ts";

/** What a batch led to. */
export interface Result {
  readonly datagrams: readonly { readonly endpoint: string; readonly bytes: Uint8Array }[];
  readonly messages: readonly SentMessage[];
  /** What was written to the TUN as it was written: received packets may be joined to super-packets. */
  readonly frames: readonly Uint8Array[];
  /** The packets in them, each with a virtio_net_hdr in front. */
  readonly tunWrites: readonly Uint8Array[];
  /** The counters that moved, and by how much. */
  readonly counts: Counts;
  readonly choices: readonly Choice[];
}

/** The packets that the kernel would make of a TUN write, each behind a virtio_net_hdr that says nothing. */
export function cutUp(write: Uint8Array): Uint8Array[] {
  if (write[Virtio.GSO_TYPE] === Virtio.GSO_NONE) return [write];
  const superPacket = write.subarray(Virtio.SIZE);
  const parsed = parse(superPacket);
  if (typeof parsed === "number") throw new Error(`a super-packet for the TUN is broken: ${DropReason[parsed]}`);
  const offload = parseOffload(write, parsed);
  if (offload === undefined) throw new Error("the virtio_net_hdr of a super-packet contradicts it");
  // The kernel adds the rest to what is in the checksum field, so that must be the pseudo-header's sum.
  const partial = superPacket.slice(0, parsed.totalLength);
  const at = parsed.headerLength + (parsed.protocol === Protocol.TCP ? 16 : 6);
  const field = (partial[at] as number) * 256 + (partial[at + 1] as number);
  const source = partial.subarray(parsed.version === 4 ? 12 : 8, parsed.version === 4 ? 16 : 24);
  const destination = partial.subarray(parsed.version === 4 ? 16 : 24, parsed.version === 4 ? 20 : 40);
  const sum = pseudoHeaderSum(source, destination, parsed.protocol, partial.length - parsed.headerLength);
  expectSame(field, sum, "partial checksum of a super-packet");
  return segment(partial, parsed, offload.segmentSize).map((bytes) => virtioFrame(bytes, {}));
}

export function datagramsOf(messages: readonly SentMessage[]): Result["datagrams"] {
  return messages.flatMap(({ endpoint, datagrams }) => datagrams.map((bytes) => ({ endpoint, bytes })));
}

/** By endpoint, in order. */
export function grouped(datagrams: Result["datagrams"]): Map<string, Uint8Array[]> {
  const groups = new Map<string, Uint8Array[]>();
  for (const { endpoint, bytes } of datagrams) {
    const group = groups.get(endpoint);
    if (group === undefined) groups.set(endpoint, [bytes]);
    else group.push(bytes);
  }
  return groups;
}

export function compareLists(what: string, actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  for (let i = 0; i < Math.max(actual.length, expected.length); i++) {
    const a = actual[i];
    const e = expected[i];
    if (a !== undefined && e !== undefined && Buffer.compare(a, e) === 0) continue;
    const hex = (bytes: Uint8Array | undefined): string | undefined =>
      bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
    expect(hex(a), `${what} ${i} (of ${actual.length}, twin ${expected.length})`).toBe(hex(e));
  }
}

export function sameCounts(a: Counts, b: Counts): boolean {
  const names = Object.keys(a) as (keyof Counts)[];
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
