// How a packet's first fragment was translated and sent, so that the others are treated alike. All fragments of a
// packet come to one worker, since the kernel spreads them by addresses alone.
export const MAX = 1024;
export const SIZE = 128;
export const KEY_SIZE = 56;
export const ID = 48; // u32
export const NEXT = 98; // u16: next older one with that head, number plus 1
