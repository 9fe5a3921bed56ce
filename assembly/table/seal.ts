// What a flow record of another process is held to: a hash over all of it that does not change while it lives. A record
// of which a bit was turned, or of which a part is of another flow, has another one. It is no secret and no signature:
// who may write the file of the flows may do all that the proxy may.
//
// The same family as the hashes of the tables (hash.ts), with keys that every process agrees on: multiples of the golden
// ratio, as splitmix64 takes them.

import { Flow } from "../record/flow.ts";
import * as FlowLayout from "../shared/layout/flow.ts";

const GOLDEN: u64 = 0x9e3779b97f4a7c15;
/** Of Flow.seen: what a flow begins with. */
const SEALED_SEEN: u32 = FlowLayout.IS_BALANCED | FlowLayout.CROSSES | FlowLayout.ANSWERS_CROSS;

/** Never 0, so that a record of zero bytes has none. */
export function sealOf(flow: usize): u64 {
  let h: u64 = 0;
  h += sealAddress(Flow.at(flow).client, 1);
  h += sealAddress(Flow.at(flow).called, 5);
  h += sealAddress(Flow.at(flow).clientInstanceAddress, 9);
  h += sealAddress(Flow.at(flow).target, 13);
  h += sealAddress(Flow.at(flow).targetInstanceAddress, 17);
  h += sealAddress(Flow.at(flow).answered, 21);
  const rest =
    <u64>Flow.at(flow).ports |
    ((<u64>Flow.at(flow).wirePort) << 32) |
    ((<u64>Flow.at(flow).protocol) << 48) |
    ((<u64>(Flow.at(flow).seen & SEALED_SEEN)) << 56);
  h += product(rest, 25);
  return (h ^ (h >>> 32)) | 1;
}

function sealAddress(address: v128, key: u64): u64 {
  return product(i64x2.extract_lane(address, 0), key) + product(i64x2.extract_lane(address, 1), key + 2);
}

function product(words: u64, key: u64): u64 {
  return ((words & 0xffffffff) + key * GOLDEN) * ((words >>> 32) + (key + 1) * GOLDEN);
}
