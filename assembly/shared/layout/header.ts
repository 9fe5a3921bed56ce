// The header of the memory (writer: control).

export const AT = 4096;
export const SIZE = 4096;

export const LAYOUT_VERSION = 0; // u32
export const GENERATION = 4; // u32 atomic: the tables that are in force
export const WORKER_COUNT = 8; // u32
export const OUTLIER_FAILURES = 12; // u32: failed openings in a row after which an instance is avoided, 0 = openings are not judged
export const FLOW_LIMIT = 16; // u32: flows that may exist at once
export const FLOW_BUCKET_MASK = 20; // u32: bucket count - 1
export const ADDRESS_MASK = 24; // u32: slots of the address table - 1
export const WORKLOAD_MASK = 28; // u32: slots of the workload table - 1
export const RANGE_COUNT = 32; // u32: service ranges in force
export const NODE_COUNT = 36; // u32: node records in use are below this index
export const METRICS_EPOCH = 40; // u32 atomic; writers: all, +1 when a round-trip time, distance or health changed
export const FLOW_COUNT = 44; // u32 atomic; writer: data plane: flows that exist now
export const FLOW_NEXT = 48; // u32 atomic; writer: data plane: first flow record never used
export const PROBE_INTERVAL_MS = 52; // u32: how often each other node is probed, 0 = never
export const FLOW_FREE = 56; // u64 atomic; writer: data plane: stack of free flow records, index | pops << 32
export const OFFLOADS = 64; // u32 atomic: OFFLOAD_* that the engine may use
export const TUN_MTU = 68; // u32: MTU of the TUN, 0 = not known
export const ANSWERS = 72; // u32: ANSWER_*, CLAMP_MSS, ACCEPT_STRANGERS
export const OUTER_CLASS = 76; // u32: how the outer header gets its DSCP and ECN, OUTER_CLASS_*
export const GSO_TRIAL = 80; // u32 atomic, from 1: how often UDP_SEGMENT was switched on for all nodes alike
export const PARK_MS = 84; // u32: how long a packet to an unknown address waits while it is asked for, 0 = not
export const PARK_PACKETS = 88; // u32: packets that may wait for one address, per worker
export const PARK_BYTES = 92; // u32: bytes that may wait for addresses, per worker
export const REFUSAL_COUNT = 96; // u32 atomic: addresses that control refused so far; the last are in the ring
export const SENDER_MASK = 100; // u32: slots of the sender table - 1
export const CLIENT_COUNT = 104; // u32 atomic; writer: data plane: instances that have flows as clients
export const REPAIR = 108; // u32 atomic: not 0 while control repairs the flow table, and no worker is in a call
export const OWN_ADDRESS_COUNT = 112; // u32 atomic: addresses of Region.ownAddresses that count
export const UNBOUND_END_MS = 116; // u32: when flows that are unbound still (FlowLayout.UNBOUND) end, by the workers' clock
export const FLOW_ROOM = 120; // u32 atomic: flow records that may be handed out are below this index
export const REGIONS = 128; // u32 per Region: address of its first byte
export const TIMEOUTS_MS = 256; // u32 per FlowState: idle time after which a flow ends
export const PROBE_KEY = 320; // 16 bytes, random at start: the secret behind the nonces of probes, never shown
export const PROBE_NONCES = 336; // u64 atomic; writer: data plane: nonces made so far
// The attentive clock: the time in which this process could have noticed an answer. Writer: the worker that probes.
export const ATTENTIVE_MS = 344; // u32 atomic
export const ATTENDED_MS = 348; // u32: when it was last advanced, by the workers' clock
export const HEALTH_EPOCH = 352; // u32 atomic; writer: data plane, +1 when a node's NodeMetricsLayout.HEALTH changed
export const PROBE_PAUSE_MS = 356; // u32 atomic; writer: data plane: nothing is due for a node for so long, 0 = something may be
export const OUTLIER_EPOCH = 360; // u32 atomic; writer: data plane, +1 (Atomics.notify) when an instance is avoided or, by a success, not any more
export const OUTLIER_UNTIL_MS = 364; // u32 atomic; writer: data plane: none is avoided after that, by the workers' clock; 0 = none is
export const OUTLIER_PAUSE_MS = 368; // u32: for how long an instance is avoided
export const OUTLIER_UNANSWERED_MS = 372; // u32: a TCP opening without an answer failed after that
// Secrets, random at start and read by the engine alone: keys cannot be chosen to collide (table/hash.ts).
export const FLOW_HASH_KEY = 384; // u64 x FLOW_HASH_KEY_WORDS
export const FLOW_HASH_KEY_WORDS = 11;
export const ADDRESS_HASH_KEY = 472; // u64 x ADDRESS_HASH_KEY_WORDS
export const ADDRESS_HASH_KEY_WORDS = 5;
export const RANGES = 512; // RANGE_SIZE each
export const RANGE_MAX = 32;
export const RANGE_SIZE = 32; // 16 bytes of prefix, 16 bytes of mask

export const REFUSALS = 2048; // RefusalLayout.SIZE x RefusalLayout.MAX: a ring

export const OFFLOAD_UDP_GSO = 1; // several datagrams in one message, cut by the kernel (UDP_SEGMENT)
export const OFFLOAD_TUN_TCP = 2; // TCP segments joined to super-packets for the TUN
export const OFFLOAD_TUN_UDP = 4; // UDP datagrams likewise (Linux 6.2)
export const OFFLOAD_GRO_ENDED = 8; // UDP_GRO was switched off; what it had joined before comes without its size

export const ANSWER_WITH_ICMP = 1; // a client whose packet goes nowhere gets an ICMP error
export const ANSWER_WITH_RESET = 2; // a TCP client whose instance is gone gets a reset
export const CLAMP_MSS = 4; // SYN segments promise no more than fits the path
export const ANSWER_LOST = 8; // packets of flows to a lost node are dropped, and their clients told
export const ANSWER_LOST_WITH_RESET = 16; // TCP clients by a reset, which ends the flow
export const ACCEPT_STRANGERS = 32; // datagrams that come from no node of the tables are those of NodeLayout.STRANGER

// Parts of OUTER_CLASS, 8 bits each, in the form of IPv4's TOS and IPv6's traffic class. The outer header gets the
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
  healthPages, // writer: control
  outliers, // writer: data plane
  adoption, // writer: control: flow records of a process before this one, a part at a time
  count,
}

// Versioned values: how a generation becomes visible at once without copying tables. A value that changes has two
// places, and one word says which is the newer one and since when.
//   word = since << 1 | newer     value = generation >= since ? values[newer] : values[newer ^ 1]
// Control writes the place that no reader of the generation in force looks at, then the word, then (after all such
// writes) GENERATION. It begins the next generation only when no worker is left in an older one
// (WorkerLayout.SEQUENCE).
