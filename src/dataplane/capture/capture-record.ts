// The form of a captured packet in the ring between a worker and control: all integers little-endian, records at
// multiples of 8, the packet behind its record.

export const SIZE_AT = 0; // u32: bytes of the record; WRAP = the next one is at the start of the ring
export const WRAP = 0xffffffff;
export const CAPTURES_AT = 4; // u8: bits of the captures that want it
export const POINT_AT = 5; // u8: CapturePoint
export const VERDICT_AT = 6; // u8: Verdict
export const REASON_AT = 7; // u8: DropReason
export const LENGTH_AT = 8; // u32: bytes of the packet
export const CAPTURED_AT = 12; // u32: those that follow the record
export const TIME_AT = 16; // f64: microseconds since 1970
export const PEER_AT = 24; // 16: the other node's address; of the tunnel only
export const PEER_PORT_AT = 40; // u16
export const TARGET_AT = 48; // 16: an address of the instance that serves the packet's flow; zeros: not known
export const HEADER_SIZE = 64;
