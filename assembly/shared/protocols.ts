// Numbers from IANA and the kernel that both sides use. PORTABLE: compiled by asc and by tsc.

// IANA protocol numbers
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_DCCP = 33;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_UDPLITE = 136;

// IPv6 extension headers
export const IPPROTO_HOP_BY_HOP = 0;
export const IPPROTO_ROUTING = 43;
export const IPPROTO_FRAGMENT = 44;
export const IPPROTO_AH = 51;
export const IPPROTO_DESTINATION_OPTIONS = 60;
export const IPPROTO_MOBILITY = 135;
export const IPPROTO_HIP = 139;
export const IPPROTO_SHIM6 = 140;

// struct virtio_net_hdr (linux/virtio_net.h), little-endian on the hosts we run on
export const VIRTIO_NET_HDR_SIZE = 10;
export const VIRTIO_FLAGS = 0; // u8
export const VIRTIO_GSO_TYPE = 1; // u8
export const VIRTIO_HDR_LEN = 2; // u16
export const VIRTIO_GSO_SIZE = 4; // u16
export const VIRTIO_CSUM_START = 6; // u16
export const VIRTIO_CSUM_OFFSET = 8; // u16
export const VIRTIO_F_NEEDS_CSUM = 1;
export const VIRTIO_GSO_NONE = 0;
export const VIRTIO_GSO_TCPV4 = 1;
export const VIRTIO_GSO_TCPV6 = 4;
export const VIRTIO_GSO_UDP_L4 = 5;
export const VIRTIO_GSO_ECN = 0x80; // or-ed to a TCP type

// linux/in.h, linux/in6.h: as levels of options and of control messages
export const SOL_IP = 0;
export const IP_TOS = 1;
export const IP_RECVTOS = 13;
export const SOL_IPV6 = 41;
export const IPV6_RECVTCLASS = 66;
export const IPV6_TCLASS = 67;

// The lower two bits of IPv4's TOS and IPv6's traffic class (RFC 3168 section 5); above them is the DSCP (RFC 2474)
export const ECN_MASK = 3;
export const ECN_NOT_ECT = 0;
export const ECN_ECT_1 = 1;
export const ECN_ECT_0 = 2;
export const ECN_CE = 3;

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
