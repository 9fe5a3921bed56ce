// Addresses that control refused: a ring in the header (writer: control), and a table of each worker's own.

export const MAX = 64;
export const SIZE = 32; // in both
export const ADDRESS = 0; // 16
export const AT_MS = 16; // u32 of the workers' clock

// A worker's own: what it took over from the ring.
export const REFUSED_MAX = 256; // in sets of REFUSED_SET, by hash of the address
export const REFUSED_SET = 4;
