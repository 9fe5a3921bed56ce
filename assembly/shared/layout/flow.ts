// The flow table (writer: data plane).
//
// A flow record holds both directions; two entries in the buckets lead to it, one per direction.
//
// Bucket: one cache line. Word 0 is the writers' lock, which names its owner:
//   lock = incarnation of the worker << LOCK_WORKER_BITS | worker + 1       0 = free
// Words 1...15 are entries:
//   entry = tag << 21 | record index << 1 | direction       0 = free
// Readers take no lock: they compare the record's key after the tag matched.
export const BUCKET_SIZE = 64;
export const BUCKET_LOCK = 0;
export const LOCK_WORKER_BITS = 5;
export const BUCKET_ENTRIES = 4;
export const BUCKET_ENTRY_COUNT = 15;
export const TAG_SHIFT = 21;
export const INDEX_MASK = 0xfffff;
/** Records beyond the limit: an evicted record is reused only when no worker can still be reading it. */
export const SLACK = 4096;
/** With each so many records that were never used before, HeaderLayout.FLOW_ROOM is notified (Atomics.notify). */
export const ROOM_NOTICE = 256;
export const LIMIT_MAX = INDEX_MASK - SLACK; // record 0 is never used

//    0 client namespace address     16 called address      } forward key, with ports and protocol
//   32 client instance address      48 target namespace address
//   64 target instance address      80 ports, protocol, state ...
//  128 what only the beginning, a change of the tables and the end of a flow need
export const SIZE = 192;
export const CLIENT = 0; // 16
export const CALLED = 16; // 16
export const CLIENT_INSTANCE_ADDRESS = 32; // 16: source on the wire
export const TARGET = 48; // 16: destination on the wire
export const TARGET_INSTANCE_ADDRESS = 64; // 16: source of the answers
export const CLIENT_PORT = 80; // u16 network order
export const CALLED_PORT = 82; // u16 network order
export const PROTOCOL = 84; // u8: IANA protocol number
export const STATE = 85; // u8: FlowState
export const SEEN = 86; // u8: SEEN_*
export const WINDOW_SCALES = 87; // u8: of TCP, as the client's and the server's SYN say; SCALE_*
export const WIRE_PORT = 88; // u16 network order: the client's port on the wire, mostly its own
export const NODE = 90; // u16: node of the target
export const CONFIRMED = 92; // u32: generation + HeaderLayout.HEALTH_EPOCH when client and target were last seen alive
// Bytes 8 to 15 of the last TCP header with an acknowledgment, as they are in the packet: what its receiver may get.
export const FORWARD_TCP = 96; // u64, 0 = there was none
export const REVERSE_TCP = 104; // u64
export const LAST_USED_MS = 112; // u32
export const FORWARD_DELTA = 116; // u16: L4 checksum difference of the forward rewrite, as added to the sum
export const REVERSE_DELTA = 118; // u16: of the reverse rewrite
export const FORWARD_PACKETS = 120; // u32
export const REVERSE_PACKETS = 124; // u32
export const ANSWERED = 128; // 16: client namespace address that the answers name; only with ANSWERS_CROSS
// A free record is linked through a word that is used for nothing else: other workers may still read the flow's words.
export const FREE_NEXT = 144; // u32
export const INSTANCE = 148; // u32: record of the target
export const INSTANCE_INCARNATION = 152; // u32
export const CLIENT_INSTANCE = 156; // u32: record of the client
export const CLIENT_INCARNATION = 160; // u32
/** u32 atomic: when the opening began, by the attentive clock; 0 = its outcome is known, or does not count (OutlierLayout). */
export const OPENED_MS = 164;
/** Over what a flow is known by and leads to, written before it begins: a record of another process is held to it. */
export const SEAL = 168; // u64

export const SEEN_REPLY = 1; // a packet came back
export const SEEN_FIN_FORWARD = 2;
export const SEEN_FIN_REVERSE = 4;
// After a reset (tcpClosed without both FINs): who sent something nevertheless
export const SEEN_LIFE_FORWARD = 64;
export const SEEN_LIFE_REVERSE = 128;
export const IS_BALANCED = 8; // the called address is a service address, so the flow counts as load
export const CROSSES = 16; // goes on the wire in another family than the client called in
export const ANSWERS_CROSS = 32; // its answers come in another family

/**
 * Beside the state in STATE: the flow is of a process before this one, and its indices (NODE, INSTANCE,
 * CLIENT_INSTANCE) stand for nothing yet. They are found by its addresses when the tables have them (table/binding.ts).
 */
export const UNBOUND = 0x80;
/** Incarnation and confirmation of an unbound flow: those of nothing. */
export const NEVER = -1; // 0xffffffff as i32

/**
 * Ages are differences of clocks that wrap after 49.7 days. A larger one is of a packet that was seen after the clock
 * was read, however long the process slept in between. 37 days; no timeout is as long.
 */
export const AGE_MAX_MS = 0xc0000000;

/** A window scale (RFC 7323 section 2) is half of WINDOW_SCALES, the client's the lower one. */
export const SCALE_UNKNOWN = 15; // its SYN was not seen

/** Value 0 is a record that holds no flow; timeouts in the header follow this order. */
export enum FlowState {
  free,
  udpUnreplied,
  udpStream,
  tcpOpening,
  tcpEstablished,
  tcpHalfClosed,
  tcpClosed,
  icmpQuery,
  otherUnreplied,
  otherStream,
  count,
}
