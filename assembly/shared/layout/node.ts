// A node record (writer: control).
//
// Index 0 is this node. Endpoints are sockaddr_in6 (RFC 3493 section 3.3; linux/in6.h), IPv4 v4-mapped.
//    0 versioned word   4 state   8 distance   12 wanted page   32 endpoint 0   64 endpoint 1
export const SIZE = 128;
export const VERSION = 0; // u32 atomic: versioned word over the two endpoints
export const STATE = 4; // u32: AddressLayout.SLOT_USED while the node is in the tables
export const DISTANCE_KM = 8; // f32: great-circle distance from this node; NaN = a location is missing
export const WANTED_PAGE = 12; // u32 atomic: 1 + the page that it is to be asked for (HealthPageLayout), 0 = none
export const ENDPOINTS = 32;
export const ENDPOINT_SIZE = 32;
export const ENDPOINT_ACCEPTS = 28; // u32, behind the sockaddr: ACCEPTS_*
export const ACCEPTS_UNKNOWN_SOURCES = 1; // the node's packets may come from service addresses that the tables lack
export const ACCEPTS_ANY_ADDRESS = 2; // what comes in the name of its instances may come from anywhere
export const LOCAL = 0;
export const STRANGER = 0xffff; // the sender of what comes from no node; no record has this index
