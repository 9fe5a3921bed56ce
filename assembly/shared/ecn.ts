// The lower two bits of IPv4's TOS and IPv6's traffic class (RFC 3168 section 5); above them is the DSCP (RFC 2474).
// PORTABLE: compiled by asc and by tsc.

export const MASK = 3;
export const NOT_ECT = 0;
export const ECT_1 = 1;
export const ECT_0 = 2;
export const CE = 3;
