// The slow twin's translation of one packet: the same family with other ends, or the other family.
import { DropReason } from "../../../assembly/shared/verdicts.ts";
import { sumWords } from "./checksum.ts";
import { type Across, isErrorIntact, isTranslatable, sourceRouteAt, toOtherFamily } from "./cross-family.ts";
import type { Ends, ParsedPacket } from "./parser.ts";
import { type ChecksumState, rewrite } from "./rewrite.ts";

/** A new packet between these ends, in their family; or why there is none. */
export function translate(
  bytes: Uint8Array,
  packet: ParsedPacket,
  ends: Ends,
  state: ChecksumState,
  across: Across,
): Uint8Array | DropReason {
  // A copy also of a Buffer, whose slices are none.
  const whole = Uint8Array.from(bytes.subarray(0, packet.totalLength));
  if (ends.source.length === packet.source.length) {
    rewrite(whole, packet, ends, state);
    return whole;
  }
  // IPv6 has no checksum of the header, so that a mistake in it would not be seen any more.
  if (packet.version === 4 && sumWords(whole, 0, packet.headerLength) !== 0xffff) return DropReason.badHeaderChecksum;
  if (sourceRouteAt(whole, packet) !== undefined) return DropReason.sourceRoute;
  if (!isTranslatable(whole, packet)) return DropReason.notTranslatable;
  if (packet.embedded !== undefined && !isErrorIntact(whole, packet)) return DropReason.badIcmpError;
  return toOtherFamily(whole, packet, ends, state, across) ?? DropReason.notTranslatable;
}
