// The area of a worker (writer: that worker).

import * as CallerLayout from "./caller.ts";
import * as FragmentLayout from "./fragment.ts";
import * as HealthPageLayout from "./health-page.ts";
import * as KernelLayout from "./kernel.ts";
import * as NodeLayout from "./node.ts";
import * as RefusalLayout from "./refusal.ts";
import * as VerdictNoteLayout from "./verdict-note.ts";
import * as WaitingLayout from "./waiting.ts";

export const MAX = 16;

export const SEQUENCE = 0; // u32 atomic: odd inside a call of egress, ingress, sweep or probe
export const GENERATION = 4; // u32: generation of the current or last call
export const UDP_TX_COUNT = 8; // u32: messages in the UDP transmit queue after a call
export const TUN_TX_COUNT = 12; // u32: writes in the TUN transmit queue after a call
export const UDP_TX_FRAGMENTED = 24; // u32: messages of the UDP transmit queue that are KernelLayout.FRAGMENTS_ALLOWED
export const PORT_CURSOR = 28; // u32: where the next search for a free wire port goes on
export const INCARNATION = 44; // u32: threads that served this worker before; writer: host
export const NOTING = 52; // u32: 1 = the engine notes what happened to each packet (NOTES); writer: host
export const NOTE_COUNT = 56; // u32: notes of the last call, also of those that found no room
export const LOCKING = 48; // u32: the bucket that this worker locked last, or is about to lock
// Flow records that this worker ended, until no other worker can still be reading them: two lists, and what the
// other workers' sequences were when the older list was closed.
export const LIMBO_YOUNG = 32; // u32: head
export const LIMBO_OLD = 36; // u32: head
export const LIMBO_SEQUENCES = 64; // u32 x MAX

export const WAITING_FRAGMENTS = 192; // WaitingLayout.ROW_SIZE: for the first one of their packet
export const WAITING_PARKED = 208; // WaitingLayout.ROW_SIZE: for their address to become known
export const RELEASED_FIRST = 224; // u32: those in a transmit queue until the next call, linked
export const FRAGMENT_NEXT = 228; // u32: first fragment at which the next search for a place goes on
export const REFUSAL_COUNT = 232; // u32: refusals of HeaderLayout.REFUSALS that were taken over
export const PAGES_RECEIVED = 240; // u32 atomic: pages of other nodes that came to this worker (RECEIVED_PAGES)
// Batches by their size: class n counts those of more than 2^(n - 1) and at most 2^n; writer: host
export const TUN_BATCHES = 320; // u64 x BATCH_CLASSES: frames that were read from the TUN at once
export const UDP_BATCHES = 384; // u64 x BATCH_CLASSES: messages that were received at once
export const BATCH_CLASSES = 7;
// How much a worker may still answer (answer/icmp-error.ts), and how it numbers IPv4 packets (family/header.ts)
export const ANSWER_TOKENS = 448; // u32 x AnswerShare.count: thousandths of an answer that are left
export const ANSWERS_REFILLED_MS = 460; // u32: when they were counted up last
export const NEXT_IDENTIFICATION = 464; // u32: of the next IPv4 packet that is made of an IPv6 one
export const FRAGMENT_KEY = 256; // FragmentLayout.KEY_SIZE: of the fragment in hand

export const ERROR_NAME = 128; // sockaddr_in6 that an error of the tunnel's socket is about; writer: host
export const ERROR_QUOTE = 160; // ERROR_QUOTE_SIZE bytes of the datagram itself, as far as the error quotes it
export const ERROR_QUOTE_SIZE = 32;

export const COUNTERS = 1024; // u64 per Counter
export const COUNTER_MAX = 64;
export const DROP_REASON_MAX = 64;
export const EGRESS_DROPS = COUNTERS + 8 * COUNTER_MAX; // u64 per DropReason
export const INGRESS_DROPS = EGRESS_DROPS + 8 * DROP_REASON_MAX; // u64 per DropReason
export const SCRATCH = INGRESS_DROPS + 8 * DROP_REASON_MAX; // the packet in hand (wire/packet.ts)
export const PASSAGE = 2816; // what the steps of its way tell each other (nat/passage.ts)
export const PREFETCH = 3072; // u64 x BATCH_SIZE: flow hashes of the batch (table/prefetch.ts)

/** Whose answers a budget is for. */
export enum AnswerShare {
  ordinary,
  urgent,
  stranger,
  count,
}

// Received frames. The host reads into a slot and stores how many bytes came.
export const BATCH_SIZE = 64;
/** In front of each frame, so that headers can grow in place. */
export const SLOT_HEADROOM = 64;
export const SLOT_SIZE = 65792; // headroom + virtio_net_hdr + 65,535 bytes, rounded up to 128
export const FRAME_MAX = 65600; // bytes that the host may read into a slot, at SLOT_HEADROOM

export const TUN_LENGTHS = 4096; // u32 x BATCH_SIZE: bytes read, virtio_net_hdr included
export const UDP_RX = 8192; // mmsghdr x BATCH_SIZE
export const UDP_RX_IOVECS = UDP_RX + KernelLayout.MMSGHDR_SIZE * BATCH_SIZE; // iovec x BATCH_SIZE
export const UDP_RX_NAMES = 16384; // NodeLayout.ENDPOINT_SIZE x BATCH_SIZE: where each came from
export const UDP_RX_CONTROLS = 20480; // KernelLayout.CONTROL_SIZE x BATCH_SIZE

// Transmit queues, filled by one call of egress, ingress or probe, flushed by the host before the next.
export const UDP_TX_MAX = 2048;
export const TUN_TX_MAX = 2048;
export const IOVEC_MAX = 16384;
export const TX_HEADERS_SIZE = 1048576;
export const UDP_TX = 32768; // mmsghdr x UDP_TX_MAX; KernelLayout.MMSGHDR_LENGTH holds the count of inner packets
/** Two control messages with an int each: IP_TOS or IPV6_TCLASS, then UDP_SEGMENT. */
export const UDP_TX_CONTROL_SIZE = 48;
export const UDP_TX_CONTROLS = UDP_TX + KernelLayout.MMSGHDR_SIZE * UDP_TX_MAX; // UDP_TX_CONTROL_SIZE x UDP_TX_MAX
// The single segments of a send that was refused because of UDP_SEGMENT
export const UDP_RETRY_MAX = 128;
export const UDP_RETRY = UDP_TX_CONTROLS + UDP_TX_CONTROL_SIZE * UDP_TX_MAX; // mmsghdr x UDP_RETRY_MAX
export const TUN_TX = UDP_RETRY + KernelLayout.MMSGHDR_SIZE * UDP_RETRY_MAX; // TUN_TX_SIZE x TUN_TX_MAX
export const TUN_TX_SIZE = 16;
export const TUN_TX_IOV = 0; // u64 native address of the first iovec, for writev
export const TUN_TX_IOV_COUNT = 8; // u32
export const TUN_TX_PACKETS = 12; // u32: packets that the write carries
export const TX_IOVECS = TUN_TX + TUN_TX_SIZE * TUN_TX_MAX; // iovec x IOVEC_MAX
export const TX_HEADERS = TX_IOVECS + KernelLayout.IOVEC_SIZE * IOVEC_MAX; // TX_HEADERS_SIZE bytes of generated headers
export const TUN_SLOTS = TX_HEADERS + TX_HEADERS_SIZE; // SLOT_SIZE x BATCH_SIZE
export const UDP_SLOTS = TUN_SLOTS + SLOT_SIZE * BATCH_SIZE; // SLOT_SIZE x BATCH_SIZE

// First fragments, and by hash the newest one (its number plus 1)
export const FRAGMENT_HEADS = UDP_SLOTS + SLOT_SIZE * BATCH_SIZE; // u16 x FragmentLayout.MAX
export const FRAGMENTS = FRAGMENT_HEADS + 2 * FragmentLayout.MAX; // FragmentLayout.SIZE x FragmentLayout.MAX
// Packets that wait, and the blocks in which they lie
export const HELD = FRAGMENTS + FragmentLayout.SIZE * FragmentLayout.MAX; // HELD_SIZE x HOLD_BLOCK_COUNT
export const HOLD_BLOCKS = HELD + WaitingLayout.HELD_SIZE * WaitingLayout.HOLD_BLOCK_COUNT; // HOLD_BLOCK_SIZE each
// Refused addresses, RefusalLayout.SIZE x RefusalLayout.REFUSED_MAX
export const REFUSED = HOLD_BLOCKS + WaitingLayout.HOLD_BLOCK_SIZE * WaitingLayout.HOLD_BLOCK_COUNT;
// Callers from unknown addresses, CallerLayout.SIZE x CallerLayout.MAX
export const CALLERS = REFUSED + RefusalLayout.SIZE * RefusalLayout.REFUSED_MAX;
export const SHARES = CALLERS + CallerLayout.SIZE * CallerLayout.MAX; // SHARE_SIZE x SHARE_MAX
// Where each message of the UDP transmit queue goes: the tables may change before the host sends it.
export const UDP_TX_NAMES = SHARES + WaitingLayout.SHARE_SIZE * WaitingLayout.SHARE_MAX; // ENDPOINT_SIZE x UDP_TX_MAX
/** Zeros that are never written. Probes of sizes are filled up with them. */
export const PADDING = UDP_TX_NAMES + NodeLayout.ENDPOINT_SIZE * UDP_TX_MAX;
export const PADDING_SIZE = 65536;
export const NOTES = PADDING + PADDING_SIZE; // VerdictNoteLayout.SIZE x VerdictNoteLayout.MAX, in the order of the packets
/** A ring: HealthPageLayout.RECEIVED_SIZE x HealthPageLayout.RECEIVED_MAX */
export const RECEIVED_PAGES = NOTES + VerdictNoteLayout.SIZE * VerdictNoteLayout.MAX;
const END = RECEIVED_PAGES + HealthPageLayout.RECEIVED_SIZE * HealthPageLayout.RECEIVED_MAX;
export const SIZE = (END + 0xffff) & ~0xffff; // a multiple of 64 KiB
