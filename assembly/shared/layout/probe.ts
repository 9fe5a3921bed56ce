// A probe, as it is on the wire between nodes.
//
// A UDP payload that is no IP packet: its first nibble is 5, so that an Oakestra node ignores it. A request may be
// longer than SIZE, to try a size; its answer is its first SIZE bytes with another type, or, if it asks for a page
// (HealthPageLayout), as long as it is.
//    0 'S' 'W' version type    4 node index of the sender, masked    8 nonce    16 abilities    20 page or revision
export const SIZE = 24;
export const MAGIC = 0x5753; // 'S' 'W' as a little-endian u16
export const VERSION = 1;
export const VERSION_AT = 2; // u8
export const TYPE_AT = 3; // u8
export const REQUEST = 1;
export const REPLY = 2;
export const NODE_AT = 4; // u32, opaque to the receiver
export const NONCE_AT = 8; // u64, opaque to the receiver
export const ABILITIES_AT = 16; // u32: in a request ASKS_PAGE or 0; of who answers, TAKES_* and TELLS_HEALTH
export const PAGE_AT = 20; // u32: in a request with ASKS_PAGE, which one
export const REVISION_AT = 20; // u32: in an answer with TELLS_HEALTH, another one when what is told has changed
export const TAKES_ECN = 1; // takes over the ECN field of the outer header (RFC 6040 section 4.2)
export const TELLS_HEALTH = 2; // checks its instances, and has pages that name the unhealthy ones
export const ASKS_PAGE = 4; // no ability, so that who repeats a request in its answer claims none
