// IANA protocol numbers. PORTABLE: compiled by asc and by tsc.

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const DCCP = 33;
export const ICMPV6 = 58;
export const UDPLITE = 136;

// IPv6 extension headers
export const HOP_BY_HOP = 0;
export const ROUTING = 43;
export const FRAGMENT = 44;
export const AH = 51;
export const DESTINATION_OPTIONS = 60;
export const MOBILITY = 135;
export const HIP = 139;
export const SHIM6 = 140;
