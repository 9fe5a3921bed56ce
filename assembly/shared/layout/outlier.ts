// What the openings of flows met: a table of bounded size, in sets (writer: data plane). One entry tells what the last
// openings of one client, or of everybody, met at one port of one instance. docs/reliability.md says what follows.
//
// Several workers may write an entry at a time. Then an outcome is lost, or an entry is forgotten: that costs one more
// opening, and no outcome counts for another instance's key for longer than until it is out of use.

export const SETS = 1024;
/** Entries of a set. */
export const WAYS = 4;
export const SIZE = 32;
export const KEY = 0; // u64 atomic: 0 = free, else USED | client << 40 | instance << 17 | is UDP << 16 | port in host order
export const INCARNATION = 8; // u32: of instance and client, mixed
export const USED_MS = 12; // u32: when the last outcome came
export const FAILURES = 16; // u8: in a row, since the last success; 255 = or more
export const CAUSE = 17; // u8: OutlierCause of the last one
export const HAS_ANSWERED = 18; // u8: 1 = the port answered somebody since the entry began; of EVERYBODY only
export const CLIENT_COUNT = 19; // u8: different clients of the failures, at most CLIENTS_MIN; of EVERYBODY only

export const CLIENT_SHIFT = 40;
export const INSTANCE_SHIFT = 17;
/** Of the index of an instance record. They bound how many instances there may be (src/memory/shared-memory.ts). */
export const INDEX_BITS = 23;
export const UDP_SHIFT = 16;
/** In place of a client. */
export const EVERYBODY = 0;
/** Different clients whose openings an instance must refuse before it is out for everybody. */
export const CLIENTS_MIN = 3;
/** Failures are in a row when no more time than this, and that of the pause, is between them. */
export const FORGET_MS = 60000;

/** What a failed opening met. */
export enum OutlierCause {
  refused, // a reset, or an ICMP error of the port
  unreachable, // another ICMP error of the instance's node
  unanswered, // nothing in time
}
