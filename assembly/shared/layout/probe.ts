// A probe, as it is on the wire between nodes.
//
// A UDP payload that is no IP packet: its first nibble is 5, so that an Oakestra node ignores it. A request may be
// longer than SIZE, to try a size; its answer is its first SIZE bytes with another type.
//    0 'S' 'W' version type    4 node index of the sender, masked    8 nonce    16 abilities
export const SIZE = 24;
export const MAGIC = 0x5753; // 'S' 'W' as a little-endian u16
export const VERSION = 1;
export const VERSION_AT = 2; // u8
export const TYPE_AT = 3; // u8
export const REQUEST = 1;
export const REPLY = 2;
export const NODE_AT = 4; // u32, opaque to the receiver
export const NONCE_AT = 8; // u64, opaque to the receiver
export const ABILITIES_AT = 16; // u64: 0 in a request; of who answers, TAKES_*. Older nodes repeat the 0
export const TAKES_ECN = 1; // takes over the ECN field of the outer header (RFC 6040 section 4.2)
