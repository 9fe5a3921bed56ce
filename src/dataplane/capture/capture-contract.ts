// What control and the workers say to each other about captures: whose packets a worker is to copy, and the form of a
// copy in the ring between them.

/** Places that packets are captured at. */
export const CapturePoint = {
  tunIn: 0, // as a workload sent it
  tunOut: 1, // as it is written to the TUN
  tunnelIn: 2, // as it came from another node
  tunnelOut: 3, // as it is sent to another node
} as const;
export type CapturePoint = (typeof CapturePoint)[keyof typeof CapturePoint];

/** As many as there are bits for them in a record. */
export const CAPTURE_MAX = 8;
/** More bytes than any packet has. */
export const SNAP_LENGTH_MAX = 262_144;

/** Whose packets one capture wants. Absent: any. Addresses are 16 bytes as a latin1 text (net/address.ts). */
export interface CaptureFilter {
  /** Its bit in the records, from 0. */
  readonly bit: number;
  readonly snapLength: number;
  readonly isDroppedOnly: boolean;
  /** One of the two addresses is one of these. */
  readonly parties?: ReadonlySet<string> | undefined;
  readonly address?: string | undefined;
  readonly protocols?: readonly number[] | undefined;
  readonly port?: number | undefined;
}

/** All captures that there are. */
export interface CaptureOrders {
  /** By worker. */
  readonly rings: readonly SharedArrayBuffer[];
  readonly filters: readonly CaptureFilter[];
}

// A record of the ring; all integers little-endian, records at multiples of 8.
export const RECORD_SIZE_AT = 0; // u32: bytes of the record; RECORD_WRAP = the next one is at the start of the ring
export const RECORD_WRAP = 0xffffffff;
export const RECORD_CAPTURES_AT = 4; // u8: bits of the captures that want it
export const RECORD_POINT_AT = 5; // u8: CapturePoint
export const RECORD_VERDICT_AT = 6; // u8: Verdict
export const RECORD_REASON_AT = 7; // u8: DropReason
export const RECORD_LENGTH_AT = 8; // u32: bytes of the packet
export const RECORD_CAPTURED_AT = 12; // u32: those that follow the record
export const RECORD_TIME_AT = 16; // f64: microseconds since 1970
export const RECORD_PEER_AT = 24; // 16: the other node's address; of the tunnel only
export const RECORD_PEER_PORT_AT = 40; // u16
export const RECORD_TARGET_AT = 48; // 16: an address of the instance that serves the packet's flow; zeros: not known
export const RECORD_HEADER_SIZE = 64;
