// A way from the client to the server that is ready to be measured.
import type { Sandbox } from "../../src/lab/sandbox.ts";
import type { Drops } from "./drops.ts";

/** What is measured, and what it is compared with. */
export const PATH_NAMES = ["sapwood", "kernel"] as const;
export type PathName =
  | (typeof PATH_NAMES)[number]
  | "sapwood encrypted"
  | "kernel encrypted"
  | "sapwood captured" // all packets of both nodes, cut as a capture for headers is
  | "other sapwood" // of another checkout
  | "kernel tuned"; // packets that arrive are spread over all processors (RPS)

/** Whose figure is divided by whose. */
export interface Comparison {
  readonly path: PathName;
  readonly with: PathName;
}

export const PLAIN: Comparison = { path: "sapwood", with: "kernel" };
export const ENCRYPTED: Comparison = { path: "sapwood encrypted", with: "kernel encrypted" };
export const CAPTURED: Comparison = { path: "sapwood captured", with: "sapwood" };
export const OTHER: Comparison = { path: "other sapwood", with: "kernel" };
export const TUNED: Comparison = { path: "kernel tuned", with: "kernel" };

export interface Path {
  readonly name: PathName;
  readonly sandbox: Sandbox; // of its own, so that the paths cannot meet
  /** What the path's programs lost so far, by node; no nodes when it has no programs. */
  drops(): Promise<Readonly<Record<string, Drops>>>;
  close(): Promise<void>;
}
