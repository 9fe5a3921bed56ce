// The contract between the host and a policy module. PORTABLE: compiled by asc and by tsc. docs/writing-a-policy.md
// explains it. A policy does not depend on the memory map (layout/): it sees this record and nothing else.

/** A module says for which version it was built. Raise it with any change of this file that a module could notice. */
export const POLICY_ABI_VERSION = 2;

// ---------------------------------------------------------------- exports of a policy module
// Beside its own memory, exported as "memory", a module exports functions of i32 values. The key is the export's name.
export enum PolicyExport {
  abiVersion, // () -> POLICY_ABI_VERSION
  reserve, // (service, count) -> address of `count` candidate records that the host may write; 0 = no room
  update, // (service, count) -> UPDATE_DONE: the records are written, build what choose needs; all else = refused
  choose, // (service, flowHash, clientHash) -> index of the chosen candidate; CHOICE_NONE = none suits
  liveFlows, // () -> 1, optional: the host writes the flow counts of the records anew before each choose
}

/** A module's memory has a maximum, at most this: 16 MiB in pages of 64 KiB. */
export const POLICY_PAGES_MAX = 256;
export const CHOICE_NONE = -1;
/** Policies that one process may know. */
export const POLICY_SLOT_MAX = 256;

// What `update` answers; modules may use further numbers.
export const UPDATE_DONE = 0;
export const UPDATE_UNKNOWN = 1; // the service or as many candidates were not reserved before
export const UPDATE_FULL = 2; // no memory for what choose needs

// ---------------------------------------------------------------- candidate record (writer: host)
// Little-endian, 4-byte aligned.
//    0 instance   4 weight   8 flows   12 round-trip time   16 distance   20 flags   24 own   28 reserved
export const RECORD_SIZE = 32;
export const RECORD_INSTANCE = 0; // u32: number of the instance, unique within the service
export const RECORD_WEIGHT = 4; // u32, 1...65535
export const RECORD_FLOWS = 8; // u32: flows of this node's clients that it serves, over all workers (see liveFlows)
export const RECORD_RTT_US = 12; // u32: round-trip time to its node, 0 = not measured
export const RECORD_DISTANCE_KM = 16; // f32: from this node to its node, NaN = unknown
export const RECORD_FLAGS = 20; // u32: RECORD_DRAINING | RECORD_LOCAL ...
export const RECORD_OWN = 24; // u32: the host writes 0, then it is the policy's
export const RECORD_RESERVED = 28; // u32: 0

export const RECORD_DRAINING = 1; // keeps its flows, gets no new ones
export const RECORD_LOCAL = 2; // runs on this node
export const RECORD_HEALTHY = 4; // nothing is known that speaks against it
export const RECORD_IPV4 = 8; // has a namespace address of IPv4
export const RECORD_IPV6 = 16; // of IPv6
export const RECORD_OWN_FAMILY = 32; // of the family in which the service is called: packets to it are not translated
