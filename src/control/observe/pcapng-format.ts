// What the writer and the reader of pcapng (draft-ietf-opsawg-pcapng) have in common.
//   block = type u32 | length u32 | body | options | length u32     option = code u16 | length u16 | value, padded to 4

/** Types of blocks. */
export const SECTION = 0x0a0d0d0a;
export const INTERFACE = 1;
export const PACKET = 6;

/** First word of a section's body: whoever reads it sees the byte order. */
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** An IP packet, IPv4 or IPv6 by its first nibble (tcpdump.org/linktypes.html). */
export const LINKTYPE_RAW = 101;

/** Codes of options: of all blocks, of an interface, of a packet. */
export const OPTION_END = 0;
export const OPTION_COMMENT = 1;
export const INTERFACE_NAME = 2;
export const PACKET_FLAGS = 2;

/** In the flags of a packet. */
export const FLAG_INBOUND = 1;
export const FLAG_OUTBOUND = 2;

/** What follows something of this length up to the next multiple of 4. */
export function paddingOf(length: number): number {
  return -length & 3;
}
