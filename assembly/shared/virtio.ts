// struct virtio_net_hdr (linux/virtio_net.h), little-endian on the hosts we run on. PORTABLE: compiled by asc and by tsc.

export const SIZE = 10;
export const FLAGS = 0; // u8
export const GSO_TYPE = 1; // u8
export const HDR_LEN = 2; // u16
export const GSO_SIZE = 4; // u16
export const CSUM_START = 6; // u16
export const CSUM_OFFSET = 8; // u16
export const F_NEEDS_CSUM = 1;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
export const GSO_ECN = 0x80; // or-ed to a TCP type
