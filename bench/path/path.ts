// A way from the client to the server that is ready to be measured.
import type { Sandbox } from "../../src/lab/sandbox.ts";

export type PathName = "sapwood" | "kernel";

export interface Path {
  readonly name: PathName;
  readonly sandbox: Sandbox; // of its own, so that the paths cannot meet
  /** Packets that the path counted as dropped so far: reason and number, by node. Empty when it does not count. */
  drops(): Promise<Drops>;
  close(): Promise<void>;
}

export type Drops = Readonly<Record<string, Readonly<Record<string, number>>>>;
