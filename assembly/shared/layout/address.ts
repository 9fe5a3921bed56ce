// The address, workload and sender tables, and the own addresses of the node (writer: control).
//
// Open addressing, linear probing from addressHash(key) & mask; load at most 1/2.
//    0 key 16   16 versioned word   20 value 0   24 value 1   28 state
// A value is the index of a service record, 0 = the address is unknown in that generation.

export const SLOT_SIZE = 32;
export const KEY = 0; // 16 bytes
export const VERSION = 16;
export const VALUES = 20; // u32 x 2
export const STATE = 28; // SLOT_EMPTY ends a probe, SLOT_USED has a key (perhaps without a value)
export const SLOT_EMPTY = 0;
export const SLOT_USED = 1;
export const SLOT_BUSY = 2; // had a key and may get another: a probe passes over it

// Workload table: the same slots; key = namespace address of a workload of this node; value = its instance. Sender
// table: the same slots; key = underlay address and port that a node's datagrams come from; value = the node. The port,
// in network order, is the upper half of a used slot's state; ANY_PORT = the node may send from any.
export const PORT_SHIFT = 16;
export const ANY_PORT = 0;

// Own addresses: those of this node itself, from which its kernel sends ICMP errors; OWN_SIZE each. While control
// writes them, there are none: HeaderLayout.OWN_ADDRESS_COUNT is 0.
export const OWN_SIZE = 16;
export const OWN_MAX = 256;
