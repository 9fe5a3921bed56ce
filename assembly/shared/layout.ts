// The memory map: one WebAssembly.Memory shared by the control plane and every worker.
// PORTABLE: compiled by asc and by tsc; plain constants and enums only.
//
//   0x0000  never used, so that address 0 means "none"
//   HEADER_AT  version, generation, capacities, region table, timeouts, service ranges
//   regions    placed by src/memory/shared-memory.ts from the configured capacities;
//              their addresses stand in the header's region table, in the order of `Region`
//
// All integers are little-endian and naturally aligned. Addresses of hosts are 16 bytes in network
// order, IPv4 as v4-mapped IPv6 (RFC 4291 section 2.5.5.2). Ports in records are in network order,
// as they stand in a packet, so that the data plane compares and copies without swapping.

/** A module built for another version must not touch the memory. Raise it with any change of this file. */
export const LAYOUT_VERSION = 9;

// ---------------------------------------------------------------- header (writer: control)
export const HEADER_AT = 4096;
export const HEADER_SIZE = 4096;

export const HEADER_LAYOUT_VERSION = 0; // u32
export const HEADER_GENERATION = 4; // u32 atomic: the tables that are in force
export const HEADER_WORKER_COUNT = 8; // u32
export const HEADER_FLOW_LIMIT = 16; // u32: flows that may exist at once
export const HEADER_FLOW_BUCKET_MASK = 20; // u32: bucket count - 1
export const HEADER_ADDRESS_MASK = 24; // u32: slots of the address table - 1
export const HEADER_WORKLOAD_MASK = 28; // u32: slots of the workload table - 1
export const HEADER_RANGE_COUNT = 32; // u32: service ranges in force
export const HEADER_NODE_COUNT = 36; // u32: node records in use are below this index
export const HEADER_METRICS_EPOCH = 40; // u32 atomic; writer: data plane, +1 when a round-trip time changed
export const HEADER_FLOW_COUNT = 44; // u32 atomic; writer: data plane: flows that exist now
export const HEADER_FLOW_NEXT = 48; // u32 atomic; writer: data plane: first flow record never used
export const HEADER_PROBE_INTERVAL_MS = 52; // u32: how often each other node is probed, 0 = never
export const HEADER_FLOW_FREE = 56; // u64 atomic; writer: data plane: stack of free flow records, index | pops << 32
export const HEADER_OFFLOADS = 64; // u32 atomic: OFFLOAD_* that the engine may use
export const HEADER_TUN_MTU = 68; // u32: MTU of the TUN, 0 = not known
export const HEADER_ANSWERS = 72; // u32: ANSWER_*, CLAMP_MSS, ACCEPT_STRANGERS
export const HEADER_OUTER_CLASS = 76; // u32: how the outer header gets its DSCP and ECN, OUTER_CLASS_*
export const HEADER_GSO_TRIAL = 80; // u32 atomic, from 1: how often UDP_SEGMENT was switched on for all nodes alike
export const HEADER_PARK_MS = 84; // u32: how long a packet to an unknown address waits while it is asked for, 0 = not
export const HEADER_PARK_PACKETS = 88; // u32: packets that may wait for one address, per worker
export const HEADER_PARK_BYTES = 92; // u32: bytes that may wait for addresses, per worker
export const HEADER_REFUSAL_COUNT = 96; // u32 atomic: addresses that control refused so far; the last are in the ring
export const HEADER_SENDER_MASK = 100; // u32: slots of the sender table - 1
export const HEADER_CLIENT_COUNT = 104; // u32 atomic; writer: data plane: instances that have flows as clients
export const HEADER_REPAIR = 108; // u32 atomic: not 0 while control repairs the flow table, and nobody is in a call
export const HEADER_OWN_ADDRESS_COUNT = 112; // u32 atomic: addresses of Region.ownAddresses that count
export const HEADER_REGIONS = 128; // u32 per Region: address of its first byte
export const HEADER_TIMEOUTS_MS = 256; // u32 per FlowState: idle time after which a flow ends
export const HEADER_PROBE_KEY = 320; // 16 bytes, random at start: the secret behind the nonces of probes, never shown
export const HEADER_PROBE_NONCES = 336; // u64 atomic; writer: data plane: nonces made so far
// The attentive clock: the time in which this process could have noticed an answer. Writer: the worker that probes.
export const HEADER_ATTENTIVE_MS = 344; // u32 atomic
export const HEADER_ATTENDED_MS = 348; // u32: when it was last advanced, by the workers' clock
export const HEADER_HEALTH_EPOCH = 352; // u32 atomic; writer: data plane, +1 when a node's NODE_HEALTH changed
// Secrets, random at start and read by the engine alone: keys cannot be chosen to collide (table/hash.ts).
export const HEADER_FLOW_HASH_KEY = 384; // u64 x FLOW_HASH_KEY_WORDS
export const FLOW_HASH_KEY_WORDS = 11;
export const HEADER_ADDRESS_HASH_KEY = 472; // u64 x ADDRESS_HASH_KEY_WORDS
export const ADDRESS_HASH_KEY_WORDS = 5;
export const HEADER_RANGES = 512; // RANGE_SIZE each
export const RANGE_MAX = 32;
export const RANGE_SIZE = 32; // 16 bytes of prefix, 16 bytes of mask

export const HEADER_REFUSALS = 2048; // REFUSAL_SIZE x REFUSAL_MAX: a ring
export const REFUSAL_MAX = 64;
export const REFUSAL_SIZE = 32; // there and in WORKER_REFUSED
export const REFUSAL_ADDRESS = 0; // 16
export const REFUSAL_AT_MS = 16; // u32 of the workers' clock

export const OFFLOAD_UDP_GSO = 1; // several datagrams in one message, cut by the kernel (UDP_SEGMENT)
export const OFFLOAD_TUN_TCP = 2; // TCP segments joined to super-packets for the TUN
export const OFFLOAD_TUN_UDP = 4; // UDP datagrams likewise (Linux 6.2)
export const OFFLOAD_GRO_ENDED = 8; // UDP_GRO was switched off; what it had joined before comes without its size

export const ANSWER_WITH_ICMP = 1; // a client whose packet goes nowhere gets an ICMP error
export const ANSWER_WITH_RESET = 2; // a TCP client whose instance is gone gets a reset
export const CLAMP_MSS = 4; // SYN segments promise no more than fits the path
export const ANSWER_LOST = 8; // packets of flows to a lost node are dropped, and their clients told
export const ANSWER_LOST_WITH_RESET = 16; // TCP clients by a reset, which ends the flow
export const ACCEPT_STRANGERS = 32; // datagrams that come from no node of the tables are those of STRANGER

// Parts of HEADER_OUTER_CLASS, 8 bits each, in the form of IPv4's TOS and IPv6's traffic class. The outer header gets the
// bits of the inner one that are copied, and the fixed ones.
export const OUTER_CLASS_COPIED = 0; // copied to nodes that take over the outer ECN (RFC 6040 section 4.1, normal mode)
export const OUTER_CLASS_COPIED_COMPATIBLY = 8; // copied to all others (compatibility mode)
export const OUTER_CLASS_FIXED = 16;

/** Order of the region table. */
export enum Region {
  nodes, // writer: control
  nodeMetrics, // writer: data plane
  instances, // writer: control
  instanceLoads, // writer: data plane
  addresses, // writer: control
  services, // writer: control
  workloads, // writer: control
  senders, // writer: control
  ownAddresses, // writer: control
  candidates, // writer: control
  flowBuckets, // writer: data plane
  flows, // writer: data plane
  workers, // writer: each worker its own area
  count,
}

// ---------------------------------------------------------------- versioned value
// How a generation becomes visible at once without copying tables: a value that changes has two places,
// and one word says which is new and since when.
//   word = since << 1 | newer     value = generation >= since ? values[newer] : values[newer ^ 1]
// Control writes the place that no reader of the generation in force looks at, then the word, then
// (after all such writes) HEADER_GENERATION. It begins the next generation only when no worker is left in
// an older one (WORKER_SEQUENCE).

// ---------------------------------------------------------------- address table (writer: control)
// Open addressing, linear probing from addressHash(key) & mask; load at most 1/2.
//    0 key 16   16 versioned word   20 value 0   24 value 1   28 state
// A value is the index of a service record, 0 = the address is unknown in that generation.
export const ADDRESS_SLOT_SIZE = 32;
export const ADDRESS_KEY = 0;
export const ADDRESS_VERSION = 16;
export const ADDRESS_VALUES = 20; // u32 x 2
export const ADDRESS_STATE = 28; // SLOT_EMPTY ends a probe, SLOT_USED has a key (perhaps without a value)
export const SLOT_EMPTY = 0;
export const SLOT_USED = 1;
export const SLOT_BUSY = 2; // had a key and may get another: a probe passes over it

// Workload table: the same slots; key = namespace address of a workload of this node; value = its instance.
// Sender table: the same slots; key = underlay address and port that a node's datagrams come from; value = the node. The
// port, in network order, is the upper half of a used slot's state; ANY_PORT = the node may send from any.
export const ADDRESS_PORT_SHIFT = 16;
export const ANY_PORT = 0;

// ---------------------------------------------------------------- own addresses (writer: control)
// The addresses that this node has itself, from which its kernel sends ICMP errors; OWN_ADDRESS_SIZE each. While control
// writes them there are none: HEADER_OWN_ADDRESS_COUNT is 0.
export const OWN_ADDRESS_SIZE = 16;
export const OWN_ADDRESS_MAX = 256;

// ---------------------------------------------------------------- service record (writer: control)
// One per service or instance address and change: never altered once a generation shows it.
export const SERVICE_SIZE = 32;
export const SERVICE_KIND = 0; // u32: ServiceKind
export const SERVICE_POLICY = 4; // u32: index of the policy, by which the worker finds the module
export const SERVICE_ID = 8; // u32: handle of a balanced address; stays when candidates change; else 0
export const SERVICE_REVISION = 12; // u32: grows when candidates change
export const SERVICE_CANDIDATE_COUNT = 16; // u32
export const SERVICE_CANDIDATES = 20; // u32: index of the first candidate; for ServiceKind.instance: the instance itself
export const SERVICE_FAMILY = 24; // u32: 4 or 6, of a balanced address; else 0
/** Index 0 is never used. */
export enum ServiceKind {
  none,
  balanced,
  instance,
}

// Candidate: one instance that a service address may lead to (writer: control).
export const CANDIDATE_SIZE = 8;
export const CANDIDATE_INSTANCE = 0; // u32: index of the instance record
export const CANDIDATE_WEIGHT = 4; // u16, 1...65535
export const CANDIDATE_FLAGS = 6; // u16: CANDIDATE_DRAINING | CANDIDATE_LOCAL
export const CANDIDATE_DRAINING = 1; // keeps its flows, gets no new ones
export const CANDIDATE_LOCAL = 2; // runs on this node

// ---------------------------------------------------------------- instance record (writer: control)
// Everything that a translation needs of one instance, which keeps its record as long as it is in the tables. What of it
// may change has two places, INSTANCE_PLACE_SIZE apart, and a version. Index 0 is never used. A family that the instance
// lacks has 16 zero bytes.
//    0 namespace v4   16 namespace v6   32 instance address v4   48 instance address v6   64 node } versioned
export const INSTANCE_SIZE = 256;
export const INSTANCE_PLACE_SIZE = 128;
export const INSTANCE_NAMESPACE_V4 = 0;
export const INSTANCE_NAMESPACE_V6 = 16;
export const INSTANCE_ADDRESS_V4 = 32;
export const INSTANCE_ADDRESS_V6 = 48;
export const INSTANCE_NODE = 64; // u32: index of the node record
// Of the record as a whole, in the first place only
export const INSTANCE_INCARNATION = 68; // u32: grows each time the index is given to another instance
export const INSTANCE_DIED = 72; // u32 atomic: first generation without it; ALIVE as long as it is there
export const INSTANCE_NUMBER = 76; // u32: instance number within its service (reports only)
export const INSTANCE_VERSION = 80; // u32 atomic: versioned word over the two places
export const ALIVE = -1; // 0xffffffff as i32: later than every generation

// Instance loads (writer: data plane; control sets them to 0 when the instance is gone). Each count is the lower half of
// an atomic u64 with the incarnation that it is of in the upper half, so that a flow which outlives an instance is not
// counted down on the next one.
export const INSTANCE_LOAD_SIZE = 16;
export const INSTANCE_LOAD_SERVED = 0; // live flows of this node's clients to service addresses that it serves
export const INSTANCE_LOAD_CALLED = 8; // flows that it has as a client: its share of the flow table

// ---------------------------------------------------------------- node record (writer: control)
// Index 0 is this node. Endpoints are sockaddr_in6 (RFC 3493 section 3.3; linux/in6.h), IPv4 v4-mapped.
//    0 versioned word   4 state   8 distance   32 endpoint 0   64 endpoint 1
export const NODE_SIZE = 128;
export const NODE_VERSION = 0; // u32 atomic: versioned word over the two endpoints
export const NODE_STATE = 4; // u32: SLOT_USED while the node is in the tables
export const NODE_DISTANCE_KM = 8; // f32: great-circle distance from this node; NaN = a location is missing
export const NODE_ENDPOINTS = 32;
export const NODE_ENDPOINT_SIZE = 32;
export const SOCKADDR_SIZE = 28; // sizeof(struct sockaddr_in6)
export const SOCKADDR_FAMILY = 0; // u16 host order: AF_INET6
export const SOCKADDR_PORT = 2; // u16 network order
export const SOCKADDR_ADDRESS = 8; // 16 bytes
export const SOCKADDR_SCOPE = 24; // u32
export const ENDPOINT_ACCEPTS = 28; // u32, behind the sockaddr: ACCEPTS_*
export const ACCEPTS_UNKNOWN_SOURCES = 1; // the node's packets may come from service addresses that the tables lack
export const ACCEPTS_ANY_ADDRESS = 2; // what comes in the name of its instances may come from anywhere
export const AF_INET6 = 10;
export const LOCAL_NODE = 0;
export const STRANGER = 0xffff; // the sender of what comes from no node; no record has this index

// Node metrics (writer: data plane; control clears them before it gives the index to another node, or the node another
// endpoint). Zero-filled = nothing measured yet. Times in milliseconds are of the attentive clock.
//    0 what every packet may need   64 what the worker that probes notes   128 its probes   512 its probes of sizes
export const NODE_METRICS_SIZE = 1024;
export const NODE_RTT_US = 0; // u32: lowest of the last samples, 0 = not measured
export const NODE_RTT_SAMPLES = 4; // u32 x RTT_SAMPLE_COUNT: a ring, 0 = no sample
export const RTT_SAMPLE_COUNT = 4;
export const NODE_TAKES_ECN = 20; // u32: 1 = its last answer says that it takes over the outer ECN (PROBE_TAKES_ECN)
export const NODE_HEALTH = 24; // u32: NodeHealth
export const NODE_MTU = 28; // u32: largest packet that fits the path to the node, as probes proved, 0 = no limit was met
export const NODE_WHOLE = 32; // u32: larger datagrams may be sent in fragments, 0 = none; not above NODE_MTU
export const NODE_GSO_REFUSED = 36; // u32: the HEADER_GSO_TRIAL in which the path to the node refused UDP_SEGMENT
export const NODE_SINCE_US = 40; // f64: when NODE_HEALTH changed, by the workers' clock
export const NODE_HEARD_US = 48; // f64: when the node last answered a probe, by the workers' clock, 0 = never
export const NODE_LARGE_SENT = 56; // u32: 1 = a large datagram was sent since the path's size was last looked at
export const NODE_REFUSED = 60; // u32 atomic: 1 = somebody says that the node takes no datagrams
export const NODE_HINT = 64; // u32 atomic: the size that somebody says fits the path, 0 = nobody does
export const NODE_DEVICE_MTU = 68; // u32 atomic: largest packet that our own device takes on the way there, 0 = not known
export const NODE_PROBES_SENT = 72; // u32: the number of the last probe; probes of sizes have none
export const NODE_ANSWERED = 76; // u32 atomic: number of the newest probe that was answered
export const NODE_PROBED_MS = 80; // u32
export const NODE_DOUBT = 84; // u32: number of the first probe after NODE_REFUSED, 0 = nobody doubts the node
// The search for the path's size (assembly/measure/path-size.ts)
export const NODE_SIZE_TRIAL = 88; // u32: the size that is being tried, 0 = none
export const NODE_SIZE_TRIES = 92; // u32: probes of that size sent
export const NODE_SIZE_LOW = 96; // u32: largest size that passes
export const NODE_SIZE_HIGH = 100; // u32: smallest size that does not
export const NODE_SIZE_GUESS = 104; // u32: NODE_HINT of this search, 0 = none
export const NODE_SIZE_WITNESS = 108; // u32: number of a probe sent after the last try: its answer comes later than the try's
export const NODE_SIZE_TRIED_MS = 112; // u32: the last try
export const NODE_SIZE_CHECKED_MS = 116; // u32: end of the last search
export const NODE_SIZE_RAISED_MS = 120; // u32: when larger sizes than NODE_MTU were last tried
export const NODE_SIZE_PASSED = 124; // u32 atomic: largest size that was answered in this search
export const NODE_PROBES = 128; // PROBE_NOTE_SIZE x NODE_PROBE_COUNT: a ring, by number
export const NODE_PROBE_COUNT = 16;
export const NODE_SIZE_PROBES = 512; // PROBE_NOTE_SIZE x NODE_SIZE_PROBE_COUNT: a ring
export const NODE_SIZE_PROBE_COUNT = 7;
export const NODE_SIZE_NEXT = 680; // u32: probes of sizes sent
export const NODE_SIZE_STATE = 684; // u32: SizeSearch
export const NODE_SIZE_HINTED_MS = 688; // u32: when a hint last began a search, 0 = never
export const NODE_RTT_NEXT = 692; // u32: where the next round-trip sample goes

/** What is remembered of a probe until it is answered. */
export const PROBE_NOTE_SIZE = 24;
export const PROBE_NOTE_NONCE = 0; // u64 atomic, 0 = answered
export const PROBE_NOTE_SENT_US = 8; // f64, by the workers' clock
export const PROBE_NOTE_SENT_MS = 16; // u32
export const PROBE_NOTE_VALUE = 20; // u32: the probe's number, or of a probe of a size its bytes

export enum NodeHealth {
  unknown, // it never answered a probe: it may be no sapwood, so nothing is said of it
  reachable,
  lost,
}

/** Why the size of a path is being searched. */
export enum SizeSearch {
  none, // nothing was ever looked at
  idle,
  first,
  hint, // NODE_HINT: the size in use is tried first
  check, // whether the size in use still passes
  raise, // whether a larger one does
}

// ---------------------------------------------------------------- flow table (writer: data plane)
// A flow record holds both directions; two entries in the buckets lead to it, one per direction.
//
// Bucket: one cache line. Word 0 is the writers' lock, which names its owner:
//   lock = incarnation of the worker << LOCK_WORKER_BITS | worker + 1       0 = free
// Words 1...15 are entries:
//   entry = tag << 21 | record index << 1 | direction       0 = free
// Readers take no lock: they compare the record's key after the tag matched.
export const FLOW_BUCKET_SIZE = 64;
export const FLOW_BUCKET_LOCK = 0;
export const LOCK_WORKER_BITS = 5;
export const FLOW_BUCKET_ENTRIES = 4;
export const FLOW_BUCKET_ENTRY_COUNT = 15;
export const FLOW_TAG_SHIFT = 21;
export const FLOW_INDEX_MASK = 0xfffff;
/** Records beyond the limit: an evicted record is reused only when no worker can still be reading it. */
export const FLOW_SLACK = 4096;
export const FLOW_LIMIT_MAX = 1044479; // FLOW_INDEX_MASK - FLOW_SLACK; record 0 is never used

//    0 client namespace address     16 called address      } forward key, with ports and protocol
//   32 client instance address      48 target namespace address
//   64 target instance address      80 ports, protocol, state ...
//  128 what only the beginning, a change of the tables and the end of a flow need
export const FLOW_SIZE = 192;
export const FLOW_CLIENT = 0; // 16
export const FLOW_CALLED = 16; // 16
export const FLOW_CLIENT_INSTANCE_ADDRESS = 32; // 16: source on the wire
export const FLOW_TARGET = 48; // 16: destination on the wire
export const FLOW_TARGET_INSTANCE_ADDRESS = 64; // 16: source of the answers
export const FLOW_CLIENT_PORT = 80; // u16 network order
export const FLOW_CALLED_PORT = 82; // u16 network order
export const FLOW_PROTOCOL = 84; // u8: IANA protocol number
export const FLOW_STATE = 85; // u8: FlowState
export const FLOW_SEEN = 86; // u8: FLOW_SEEN_*
export const FLOW_WINDOW_SCALES = 87; // u8: of TCP, as the client's and the server's SYN say; FLOW_SCALE_*
export const FLOW_WIRE_PORT = 88; // u16 network order: the client's port on the wire, mostly its own
export const FLOW_NODE = 90; // u16: node of the target
export const FLOW_CONFIRMED = 92; // u32: generation plus HEADER_HEALTH_EPOCH when client and target were last seen alive
// Bytes 8 to 15 of the last TCP header with an acknowledgment, as they stand in the packet: what its receiver may get.
export const FLOW_FORWARD_TCP = 96; // u64, 0 = there was none
export const FLOW_REVERSE_TCP = 104; // u64
export const FLOW_LAST_USED_MS = 112; // u32
export const FLOW_FORWARD_DELTA = 116; // u16: L4 checksum difference of the forward rewrite, as added to the sum
export const FLOW_REVERSE_DELTA = 118; // u16: of the reverse rewrite
export const FLOW_FORWARD_PACKETS = 120; // u32
export const FLOW_REVERSE_PACKETS = 124; // u32
export const FLOW_ANSWERED = 128; // 16: client namespace address that the answers name; only with FLOW_ANSWERS_CROSS
// A free record is linked through a word of its own: what others may still read of the flow stays.
export const FLOW_FREE_NEXT = 144; // u32
export const FLOW_INSTANCE = 148; // u32: record of the target
export const FLOW_INSTANCE_INCARNATION = 152; // u32
export const FLOW_CLIENT_INSTANCE = 156; // u32: record of the client
export const FLOW_CLIENT_INCARNATION = 160; // u32

export const FLOW_SEEN_REPLY = 1; // a packet came back
export const FLOW_SEEN_FIN_FORWARD = 2;
export const FLOW_SEEN_FIN_REVERSE = 4;
// After a reset (tcpClosed without both FINs): who went on all the same
export const FLOW_SEEN_LIFE_FORWARD = 64;
export const FLOW_SEEN_LIFE_REVERSE = 128;
export const FLOW_IS_BALANCED = 8; // the called address is a service address, so the flow counts as load
export const FLOW_CROSSES = 16; // goes on the wire in another family than the client called in
export const FLOW_ANSWERS_CROSS = 32; // its answers come in another family

/**
 * Ages are differences of clocks that wrap after 49.7 days. A larger one is of a packet that was seen after the clock was
 * read, however long the process slept in between. 37 days; no timeout is as long.
 */
export const FLOW_AGE_MAX_MS = 0xc0000000;

/** A window scale (RFC 7323 section 2) is half of FLOW_WINDOW_SCALES, the client's the lower one. */
export const FLOW_SCALE_UNKNOWN = 15; // its SYN was not seen

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

// ---------------------------------------------------------------- probe (on the wire between nodes)
// A UDP payload that is no IP packet: its first nibble is 5, so that an Oakestra node ignores it. A request may be
// longer than PROBE_SIZE, to try a size; its answer is its first PROBE_SIZE bytes with another type.
//    0 'S' 'W' version type    4 node index of the sender, masked    8 nonce    16 abilities
export const PROBE_SIZE = 24;
export const PROBE_MAGIC = 0x5753; // 'S' 'W' as a little-endian u16
export const PROBE_VERSION = 1;
export const PROBE_VERSION_AT = 2; // u8
export const PROBE_TYPE_AT = 3; // u8
export const PROBE_REQUEST = 1;
export const PROBE_REPLY = 2;
export const PROBE_NODE_AT = 4; // u32, opaque to the receiver
export const PROBE_NONCE_AT = 8; // u64, opaque to the receiver
export const PROBE_ABILITIES_AT = 16; // u64: 0 in a request; of who answers, PROBE_TAKES_*. Older nodes repeat the 0
export const PROBE_TAKES_ECN = 1; // takes over the ECN field of the outer header (RFC 6040 section 4.2)

// ---------------------------------------------------------------- worker area (writer: that worker)
export const WORKER_MAX = 16;
export const WORKER_SEQUENCE = 0; // u32 atomic: odd inside a call of egress, ingress, sweep or probe
export const WORKER_GENERATION = 4; // u32: generation of the current or last call
export const WORKER_UDP_TX_COUNT = 8; // u32: messages in the UDP transmit queue after a call
export const WORKER_TUN_TX_COUNT = 12; // u32: writes in the TUN transmit queue after a call
export const WORKER_EVICT_CURSOR = 16; // u32: flow record at which the next search for a victim goes on
export const WORKER_SWEEP_CURSOR = 20; // u32: flow record at which the next sweep goes on
export const WORKER_PORT_CURSOR = 28; // u32: where the next search for a free wire port goes on
export const WORKER_INCARNATION = 44; // u32: threads that served this worker before; writer: host
export const WORKER_LOCKING = 48; // u32: the bucket that this worker locked last, or is about to lock
export const WORKER_PORT_TRIES = 40; // u32: ports that this call may still try
export const WORKER_UDP_TX_FRAGMENTED = 24; // u32: those of them that are FRAGMENTS_ALLOWED
// Flow records that this worker ended, until no other worker can still be reading them: two lists, and what the
// other workers' sequences were when the older list was closed.
export const WORKER_LIMBO_YOUNG = 32; // u32: head
export const WORKER_LIMBO_OLD = 36; // u32: head
export const WORKER_LIMBO_SEQUENCES = 64; // u32 x WORKER_MAX

// Packets that wait, in rows: numbers of blocks, from 1, linked by HELD_NEXT; 0 = none.
export const WORKER_WAITING_FRAGMENTS = 192; // WAITING_SIZE: for the first one of their packet
export const WORKER_WAITING_PARKED = 208; // WAITING_SIZE: for their address to become known
export const WAITING_SIZE = 16;
export const WAITING_FIRST = 0; // u32: the oldest
export const WAITING_LAST = 4; // u32
export const WAITING_COUNT = 8; // u32
export const WAITING_BYTES = 12; // u32
export const WORKER_RELEASED_FIRST = 224; // u32: those in a transmit queue until the next call, linked
export const WORKER_FRAGMENT_NEXT = 228; // u32: first fragment at which the next search for a place goes on
export const WORKER_REFUSAL_COUNT = 232; // u32: refusals of HEADER_REFUSALS that were taken over
export const WORKER_AGE_CURSOR = 236; // u32: first fragment at which the next sweep goes on
export const WORKER_FRAGMENT_KEY = 256; // FRAGMENT_KEY_SIZE: of the fragment in hand

export const WORKER_ERROR_NAME = 128; // sockaddr_in6 that an error of the tunnel's socket is about; writer: host
export const WORKER_ERROR_QUOTE = 160; // ERROR_QUOTE_SIZE bytes of the datagram itself, as far as the error quotes it
export const ERROR_QUOTE_SIZE = 32;
export const WORKER_COUNTERS = 1024; // u64 per Counter, then per direction and DropReason
export const COUNTER_MAX = 64;
export const DROP_REASON_MAX = 64;
export const WORKER_EGRESS_DROPS = 1536; // WORKER_COUNTERS + 8 * COUNTER_MAX
export const WORKER_INGRESS_DROPS = 2048; // WORKER_EGRESS_DROPS + 8 * DROP_REASON_MAX
export const WORKER_SCRATCH = 2560; // the packet in hand (wire/packet.ts)
export const WORKER_PASSAGE = 2816; // what the steps of its way tell each other (nat/passage.ts)
export const WORKER_PREFETCH = 3072; // u64 x BATCH_SIZE: flow hashes of the batch (table/prefetch.ts)

// Received frames. The host reads into a slot and stores how many bytes came.
export const BATCH_SIZE = 64;
/** In front of each frame, so that headers can grow in place. */
export const SLOT_HEADROOM = 64;
export const SLOT_SIZE = 65792; // headroom + virtio_net_hdr + 65,535 bytes, rounded up to 128
export const FRAME_MAX = 65600; // bytes that the host may read into a slot, at SLOT_HEADROOM

export const WORKER_TUN_LENGTHS = 4096; // u32 x BATCH_SIZE: bytes read, virtio_net_hdr included
// recvmmsg structures, prepared by attach(); struct mmsghdr of 64-bit Linux.
export const MMSGHDR_SIZE = 64;
export const MMSGHDR_NAME = 0; // u64 native address
export const MMSGHDR_NAME_LENGTH = 8; // u32
export const MMSGHDR_IOV = 16; // u64 native address
export const MMSGHDR_IOV_COUNT = 24; // u64
export const MMSGHDR_CONTROL = 32; // u64 native address
export const MMSGHDR_CONTROL_LENGTH = 40; // u64
export const MMSGHDR_FLAGS = 48; // u32
export const MMSGHDR_LENGTH = 56; // u32: bytes received or sent
export const MMSGHDR_FRAGMENTS = 60; // u32: FRAGMENTS_*; the kernel's padding
export const FRAGMENTS_IF_REFUSED = 0; // of what is longer than the device takes
export const FRAGMENTS_ALLOWED = 1; // here and on the way
export const FRAGMENTS_NEVER = 2; // it tries a size
export const IOVEC_SIZE = 16; // u64 native address, u64 length
export const CONTROL_SIZE = 64;
export const WORKER_UDP_RX = 8192; // mmsghdr x BATCH_SIZE
export const WORKER_UDP_RX_IOVECS = 12288; // iovec x BATCH_SIZE
export const WORKER_UDP_RX_NAMES = 16384; // NODE_ENDPOINT_SIZE x BATCH_SIZE: where each came from
export const WORKER_UDP_RX_CONTROLS = 20480; // CONTROL_SIZE x BATCH_SIZE

// Transmit queues, filled by one call of egress, ingress or probe, flushed by the host before the next.
export const UDP_TX_MAX = 2048;
export const TUN_TX_MAX = 2048;
export const IOVEC_MAX = 16384;
export const TX_HEADERS_SIZE = 1048576;
export const WORKER_UDP_TX = 32768; // mmsghdr x UDP_TX_MAX; MMSGHDR_LENGTH holds the count of inner packets
/** Two control messages with an int each: IP_TOS or IPV6_TCLASS, then UDP_SEGMENT. */
export const UDP_TX_CONTROL_SIZE = 48;
export const WORKER_UDP_TX_CONTROLS = WORKER_UDP_TX + MMSGHDR_SIZE * UDP_TX_MAX; // UDP_TX_CONTROL_SIZE x UDP_TX_MAX
export const WORKER_UDP_RETRY = WORKER_UDP_TX_CONTROLS + UDP_TX_CONTROL_SIZE * UDP_TX_MAX; // mmsghdr x UDP_RETRY_MAX: single segments of a refused UDP_SEGMENT send
export const UDP_RETRY_MAX = 128;
export const WORKER_TUN_TX = WORKER_UDP_RETRY + MMSGHDR_SIZE * UDP_RETRY_MAX; // TUN_TX_SIZE x TUN_TX_MAX
export const TUN_TX_SIZE = 16;
export const TUN_TX_IOV = 0; // u64 native address of the first iovec, for writev
export const TUN_TX_IOV_COUNT = 8; // u32
export const TUN_TX_PACKETS = 12; // u32: packets that the write carries
export const WORKER_TX_IOVECS = WORKER_TUN_TX + TUN_TX_SIZE * TUN_TX_MAX; // iovec x IOVEC_MAX
export const WORKER_TX_HEADERS = WORKER_TX_IOVECS + IOVEC_SIZE * IOVEC_MAX; // TX_HEADERS_SIZE bytes of generated headers
export const WORKER_TUN_SLOTS = WORKER_TX_HEADERS + TX_HEADERS_SIZE; // SLOT_SIZE x BATCH_SIZE
export const WORKER_UDP_SLOTS = WORKER_TUN_SLOTS + SLOT_SIZE * BATCH_SIZE; // SLOT_SIZE x BATCH_SIZE

// Where a worker remembers first fragments, keeps packets that wait, and what control refused.
//
// What became of a packet's first fragment, so that it becomes of the others as well. All fragments of a packet come to
// one worker, since the kernel spreads them by addresses alone.
//    0 source  16 destination  32 sender  48 identification  52 protocol  } key
//   56 node  60 time  64 new source  80 new destination  96 next ...
export const FRAGMENT_MAX = 1024;
export const FRAGMENT_SIZE = 128;
export const FRAGMENT_KEY_SIZE = 56;
export const FRAGMENT_SOURCE = 0; // 16
export const FRAGMENT_DESTINATION = 16; // 16
export const FRAGMENT_SENDER = 32; // u32: node that it came from; LOCAL_NODE = the TUN
export const FRAGMENT_ID = 48; // u32
export const FRAGMENT_PROTOCOL = 52; // u32; in IPv6, where fragments may differ in it, 0
export const FRAGMENT_NODE = 56; // u32: where it went; LOCAL_NODE = into the TUN
export const FRAGMENT_SINCE_MS = 60; // u32
export const FRAGMENT_NEW_SOURCE = 64; // 16
export const FRAGMENT_NEW_DESTINATION = 80; // 16
export const FRAGMENT_BUCKET = 96; // u16: index of its head
export const FRAGMENT_NEXT = 98; // u16: next older one with that head, number plus 1
export const FRAGMENT_OWNER = 100; // u32: who it is counted to; 0 = the record is free

// Who takes up room that others would like to have, too: a hash of the workload's address, or of the node's.
export const OWNER_OTHERS = 1; // everybody else together; 0 = nobody

// A packet that waits lies in blocks that stand in a row; the record with the number of the first one describes it.
// The first blocks are for fragments, the others for packets to unknown addresses.
export const HOLD_BLOCK_SIZE = 2048;
export const HOLD_FRAGMENT_BLOCKS = 256;
export const HOLD_BLOCK_COUNT = 1024;
export const HELD_SIZE = 128;
export const HELD_KEY = 0; // FRAGMENT_KEY_SIZE; of a parked packet only the destination counts
export const HELD_DESTINATION = 16; // FRAGMENT_DESTINATION
export const HELD_LENGTH = 56; // u32
export const HELD_SINCE_MS = 60; // u32
export const HELD_NEXT = 64; // u32: the packet that came to the row after it, 0 = none
export const HELD_BEFORE = 68; // u32: the one that came before it
export const HELD_BLOCKS = 72; // u32: how many
export const HELD_OWNER = 76; // u32: whom its blocks are counted to
export const HELD_STATE = 80; // u32 atomic: HOLD_*
export const HELD_CHANGES = 84; // u32 atomic: odd while a packet is put there; control reads none then
export const HOLD_FREE = 0;
export const HOLD_FIRST = 1;
export const HOLD_CONTINUED = 2;
export const HOLD_RELEASED = 3; // in a transmit queue until the next call

export const REFUSED_MAX = 256; // in sets of REFUSED_SET, by hash of the address
export const REFUSED_SET = 4;
export const REFUSED_OWNER = 20; // u32: whom it is counted to; 0 = the record is free

// Blocks per owner, while it is found out who has most of them: a hash table.
export const SHARE_MAX = 2048;
export const SHARE_SIZE = 8;
export const SHARE_OWNER = 0; // u32, 0 = free
export const SHARE_BLOCKS = 4; // u32

export const WORKER_FRAGMENT_HEADS = WORKER_UDP_SLOTS + SLOT_SIZE * BATCH_SIZE; // u16 x FRAGMENT_MAX: newest first fragment of a hash, number plus 1
export const WORKER_FRAGMENTS = WORKER_FRAGMENT_HEADS + 2 * FRAGMENT_MAX; // FRAGMENT_SIZE x FRAGMENT_MAX
export const WORKER_HELD = WORKER_FRAGMENTS + FRAGMENT_SIZE * FRAGMENT_MAX; // HELD_SIZE x HOLD_BLOCK_COUNT
export const WORKER_HOLD_BLOCKS = WORKER_HELD + HELD_SIZE * HOLD_BLOCK_COUNT; // HOLD_BLOCK_SIZE x HOLD_BLOCK_COUNT
export const WORKER_REFUSED = WORKER_HOLD_BLOCKS + HOLD_BLOCK_SIZE * HOLD_BLOCK_COUNT; // REFUSAL_SIZE x REFUSED_MAX
export const WORKER_SHARES = WORKER_REFUSED + REFUSAL_SIZE * REFUSED_MAX; // SHARE_SIZE x SHARE_MAX
// Where each message of the UDP transmit queue goes: the tables may change before the host sends it.
export const WORKER_UDP_TX_NAMES = WORKER_SHARES + SHARE_SIZE * SHARE_MAX; // NODE_ENDPOINT_SIZE x UDP_TX_MAX
export const WORKER_PADDING = WORKER_UDP_TX_NAMES + NODE_ENDPOINT_SIZE * UDP_TX_MAX; // PADDING_SIZE zeros, never written: what probes of sizes are filled up with
export const PADDING_SIZE = 65536;
export const WORKER_SIZE = (WORKER_PADDING + PADDING_SIZE + 0xffff) & ~0xffff; // a multiple of 64 KiB
