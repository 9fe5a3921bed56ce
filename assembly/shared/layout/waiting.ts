// Packets that wait, in rows: numbers of blocks, from 1, linked by HELD_NEXT; 0 = none.
export const ROW_SIZE = 16;
export const ROW_COUNT = 8; // u32

// Who takes up room that others would like to have, too: a hash of the workload's address, or of the node's.
export const OWNER_OTHERS = 1; // all others together; 0 = no owner
/** In the owner of a parked packet on which a connection or an answer depends: it has a share of its own. */
export const OWNER_URGENT = 0x40000000;

// A packet that waits lies in consecutive blocks. The record with the number of the first block describes it.
// The first blocks are for fragments, the others for packets to unknown addresses.
export const HOLD_BLOCK_SIZE = 2048;
export const HOLD_FRAGMENT_BLOCKS = 256;
export const HOLD_BLOCK_COUNT = 1024;
export const HELD_SIZE = 128;
export const HELD_KEY = 0; // FragmentLayout.KEY_SIZE; of a parked packet only the destination counts
export const HELD_DESTINATION = 16; // FragmentLayout.DESTINATION
export const HELD_SINCE_MS = 60; // u32
export const HELD_OWNER = 76; // u32: who is charged for its blocks
export const HELD_STATE = 80; // u32 atomic: HOLD_*
export const HELD_CHANGES = 84; // u32 atomic: odd while a packet is put there; control reads none then
export const HOLD_FREE = 0;
export const HOLD_FIRST = 1;
export const HOLD_CONTINUED = 2;
export const HOLD_RELEASED = 3; // in a transmit queue until the next call

// Blocks per owner, while it is found out who has most of them: a hash table.
export const SHARE_MAX = 2048;
export const SHARE_SIZE = 8;
