// Which changes of links, addresses, routes and rules rtnetlink(7) tells of.

export const NETLINK_ROUTE = 0;
/** RTNLGRP_... (linux/rtnetlink.h). */
export const ROUTE_GROUPS: readonly number[] = [
  1, // link
  5, // IPv4 addresses
  7, // IPv4 routes
  8, // IPv4 rules
  9, // IPv6 addresses
  11, // IPv6 routes
  19, // IPv6 rules
];

// struct nlmsghdr: u32 length, u16 type, u16 flags, u32 sequence, u32 pid
const HEADER = 16;
const TYPE = 4;
const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_NEWRULE = 32;
/** ifinfomsg and ifaddrmsg both have the interface's index there. */
const LINK_INDEX = HEADER + 4;
/** Behind struct rtmsg. */
const ROUTE_ATTRIBUTES = HEADER + 12;
const RTA_OIF = 4;

/**
 * Whether a datagram of rtnetlink has a message about one of these interfaces, its addresses or its routes, or about a
 * rule. Of `links` the routes do not matter.
 */
export function concerns(bytes: DataView, interfaces: readonly number[], links: readonly number[] = []): boolean {
  for (let at = 0; at + HEADER <= bytes.byteLength; ) {
    const length = bytes.getUint32(at, true);
    if (length < HEADER || at + length > bytes.byteLength) return false;
    const message = new DataView(bytes.buffer, bytes.byteOffset + at, length);
    const kind = message.getUint16(TYPE, true) & ~3; // of RTM_NEW..., RTM_DEL..., RTM_GET..., RTM_SET...
    if (kind === RTM_NEWRULE) return true;
    const isRoute = kind === RTM_NEWROUTE;
    const found = isRoute ? outgoing(message) : linkIndex(message, kind);
    if (found !== undefined && (interfaces.includes(found) || (!isRoute && links.includes(found)))) return true;
    at += align(length);
  }
  return false;
}

function linkIndex(message: DataView, kind: number): number | undefined {
  if (kind !== RTM_NEWLINK && kind !== RTM_NEWADDR) return undefined;
  return LINK_INDEX + 4 <= message.byteLength ? message.getInt32(LINK_INDEX, true) : undefined;
}

/** The interface that a route leads to. */
function outgoing(message: DataView): number | undefined {
  for (let at = ROUTE_ATTRIBUTES; at + 8 <= message.byteLength; ) {
    const length = message.getUint16(at, true); // struct rtattr: u16 length, u16 type
    if (length < 4) return undefined;
    if (message.getUint16(at + 2, true) === RTA_OIF) return message.getInt32(at + 4, true);
    at += align(length);
  }
  return undefined;
}

function align(length: number): number {
  return (length + 3) & ~3;
}
