// Who called workloads of this node from addresses that the tables lack: a table of each worker's own, which all read.

export const MAX = 1024; // in sets of SET, by PAIR
export const SET = 4;
export const SIZE = 8;
// u64 atomic as a whole
export const AT_MS = 0; // u32 of the workers' clock
export const PAIR = 4; // u32: hash of the caller's and the workload's address; 0 = the record is free
