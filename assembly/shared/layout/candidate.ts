// Candidate: one instance that a service address may lead to (writer: control).

export const SIZE = 8;
export const INSTANCE = 0; // u32: index of the instance record
export const WEIGHT = 4; // u16, 1...65535
export const FLAGS = 6; // u16: DRAINING | LOCAL
export const DRAINING = 1; // keeps its flows, gets no new ones
export const LOCAL = 2; // runs on this node
