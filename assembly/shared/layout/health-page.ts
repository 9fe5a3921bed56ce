// What a node tells the others of the health of its instances (writer: control). The data plane copies pages and does not
// read them.
//
// The unhealthy instances are in the order of their addresses, cut into pages. Each page says which addresses it covers,
// so that it is right by itself: an instance of that node that it covers and does not name is healthy.
//    0 page   2 pages   4 count   8 addresses covered: above this one   24 up to this one   40 the unhealthy ones

export const SIZE = 472;
export const NUMBER = 0; // u16, little-endian, from 0
export const COUNT = 2; // u16: pages that there are
export const ADDRESS_COUNT = 4; // u16: at most ADDRESS_MAX
export const ABOVE = 8; // 16 bytes; the first page begins with 0, which is covered as well
export const UP_TO = 24; // 16 bytes; the last page ends with ff...ff
export const ADDRESSES = 40; // 16 bytes each, IPv4 v4-mapped, ascending
export const ADDRESS_MAX = 27;

// The region: HEAD bytes, then the pages.
/** u32 atomic: odd while the pages are being written; half of it is the revision, 0 = nothing is told. */
export const SEQUENCE = 0;
export const PAGE_COUNT = 4; // u32
export const HEAD = 64;

// A page that came from another node, in a ring of the worker that received it (writer: that worker).
export const RECEIVED_SIZE = 512;
export const RECEIVED_TURN = 0; // u32 atomic: how many came to this worker with this one, 0 = it is being written
export const RECEIVED_NODE = 4; // u32: index of the node record
export const RECEIVED_REVISION = 8; // u32: of what its node tells
export const RECEIVED_PAGE = 16; // SIZE bytes
export const RECEIVED_MAX = 32;
