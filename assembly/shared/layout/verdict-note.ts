// What happened to a packet that a call of egress or ingress was given, noted while somebody captures packets.
export const SIZE = 16;
export const MAX = 4096; // of one call
export const AT = 0; // u32: address of the packet as it was received, its IP header first
export const LENGTH = 4; // u32
export const VERDICT = 8; // u32: Verdict | DropReason << REASON_SHIFT
export const REASON_SHIFT = 8;
export const FLOW = 12; // u32: address of the flow that it belongs to, or that it answers; 0 = none is known
