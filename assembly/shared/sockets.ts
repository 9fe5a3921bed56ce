// Options of sockets, and limits of UDP, that both sides use. PORTABLE: compiled by asc and by tsc.

// linux/in.h, linux/in6.h: as levels of options and of control messages
export const SOL_IP = 0;
export const IP_TOS = 1;
export const IP_RECVTOS = 13;
export const SOL_IPV6 = 41;
export const IPV6_RECVTCLASS = 66;
export const IPV6_TCLASS = 67;

// linux/udp.h
export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
/** Datagrams that one UDP_SEGMENT send or one super-packet may carry (UDP_MAX_SEGMENTS of kernels before 6.9). */
export const UDP_SEGMENTS_MAX = 64;
/** Bytes that one UDP_SEGMENT send may carry over IPv4: 65,535 - 20 - 8. */
export const UDP_PAYLOAD_MAX = 65507;

/** Port of the tunnel that Oakestra uses. */
export const TUNNEL_PORT = 50103;
