// Structures of 64-bit Linux that the engine fills or reads: sockaddr_in6, mmsghdr, iovec, cmsghdr.

export const SOCKADDR_SIZE = 28; // sizeof(struct sockaddr_in6)
export const SOCKADDR_FAMILY = 0; // u16 host order: AF_INET6
export const SOCKADDR_PORT = 2; // u16 network order
export const SOCKADDR_ADDRESS = 8; // 16 bytes
export const AF_INET6 = 10;

// struct mmsghdr, for recvmmsg and sendmmsg. It begins with a struct msghdr, for recvmsg and sendmsg.
export const MMSGHDR_SIZE = 64;
export const MSGHDR_SIZE = 56;
export const MMSGHDR_NAME = 0; // u64 native address
export const MMSGHDR_NAME_LENGTH = 8; // u32
export const MMSGHDR_IOV = 16; // u64 native address
export const MMSGHDR_IOV_COUNT = 24; // u64
export const MMSGHDR_CONTROL = 32; // u64 native address
export const MMSGHDR_CONTROL_LENGTH = 40; // u64
export const MMSGHDR_FLAGS = 48; // u32
export const MMSGHDR_LENGTH = 56; // u32: bytes received or sent
export const MMSGHDR_FRAGMENTS = 60; // u32: FRAGMENTS_*; the kernel's padding
export const FRAGMENTS_IF_REFUSED = 0; // of what is longer than the device takes
export const FRAGMENTS_ALLOWED = 1; // here and on the way
export const FRAGMENTS_NEVER = 2; // it tries a size

export const IOVEC_SIZE = 16;
export const IOVEC_BASE = 0; // u64 native address
export const IOVEC_LENGTH = 8; // u64

// struct cmsghdr. The next one begins at a multiple of 8.
export const CMSG_LENGTH = 0; // u64: with the data, without what rounds it up
export const CMSG_LEVEL = 8; // u32
export const CMSG_TYPE = 12; // u32
export const CMSG_DATA = 16;
export const CMSG_SIZE = 24; // with an int or less as data
export const CONTROL_SIZE = 64; // room for the control messages of a received message
