// What the programs of the swap measurement print, one JSON line each, and how they find each other.

import { TOOL_PORT } from "../path/tool-protocol.ts";

/** UDP port of the stream's receivers. */
export const STREAM_PORT = TOOL_PORT;
/** Ends the stream; all other marks count up from 0. */
export const END_MARK = 0xffff_ffff;
/** Each receiver acknowledges every so many datagrams, by sending the mark back. */
export const ACKNOWLEDGED_EVERY = 50;

export interface StreamSent {
  readonly packets: number;
  readonly seconds: number;
}

/** Of a receiver; all of the stream comes to one of them. */
export interface StreamReceived {
  readonly packets: number;
  /** That did not bear the mark after the one before: lost, doubled or out of order. */
  readonly misplaced: number;
  readonly longestGapsMs: readonly number[]; // the longest first
}

export interface BulkResult {
  readonly sentBytes: number;
  readonly sent: string; // SHA-256, hex
  readonly received: string;
}

/** One swap, as the control socket told it. */
export interface SwapResult {
  readonly what: "policy" | "engine";
  readonly tookMs: number;
  readonly pauseMs: number;
}
