// How a packet's first fragment was translated and sent, so that the others are treated alike. All fragments of a
// packet come to one worker, since the kernel spreads them by addresses alone.
//    0 source  16 destination  32 sender  48 identification  52 protocol  } key
//   56 node  60 time  64 new source  80 new destination  96 next ...
export const MAX = 1024;
export const SIZE = 128;
export const KEY_SIZE = 56;
export const SOURCE = 0; // 16
export const DESTINATION = 16; // 16
export const SENDER = 32; // u32: node that it came from; NodeLayout.LOCAL = the TUN
export const ID = 48; // u32
export const PROTOCOL = 52; // u32; in IPv6, where fragments may differ in it, 0
export const NODE = 56; // u32: where it went; NodeLayout.LOCAL = into the TUN
export const SINCE_MS = 60; // u32
export const NEW_SOURCE = 64; // 16
export const NEW_DESTINATION = 80; // 16
export const BUCKET = 96; // u16: index of its head
export const NEXT = 98; // u16: next older one with that head, number plus 1
export const OWNER = 100; // u32: who is charged for it; 0 = the record is free
