// What control and the workers say to each other about captures: whose packets a worker is to copy, and where
// packets are captured.

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
