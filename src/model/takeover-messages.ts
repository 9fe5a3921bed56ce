// What two processes say to each other while the one takes over from the other, one JSON text a message.
//
//   the next one                              the running one
//   takeOver ───────────────────────────────►  checks who asks
//            ◄───────────────────────────────  descriptors, with TUN, sockets and locks
//   prepared: all is ready but for packets ──►  holds its workers
//            ◄───────────────────────────────  held
//   flowing: packets pass ──────────────────►  closes what it listens at
//            ◄───────────────────────────────  released
//   ready: it answers everywhere ───────────►  ends
//
// Until "ready" either may say "failed"; then the running one goes on. A process that ends says so by that.

import { z } from "zod";

/** Raise it when a message means something else. Both sides have to have the same. */
export const TAKEOVER_PROTOCOL = 1;

const protocol = z.int();
const reason = z.string().describe("one sentence");

/** Of the one who asked, to the running process. */
export const Asking = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("takeOver"), protocol, version: z.string() }),
  z.object({ kind: z.literal("start"), node: z.string(), program: z.string() }),
  z.object({ kind: z.literal("prepared") }),
  z.object({ kind: z.literal("flowing"), pauseMs: z.number(), flows: z.int() }),
  z.object({ kind: z.literal("ready") }),
  z.object({ kind: z.literal("failed"), reason }),
]);
export type Asking = z.infer<typeof Asking>;

/** Of the running process. */
export const Answering = z.discriminatedUnion("kind", [
  /** The descriptors are, in this order: `queues` of the TUN, as many of the tunnel, and those of `locks`. */
  z.object({
    kind: z.literal("descriptors"),
    protocol,
    version: z.string(),
    pid: z.int(),
    generation: z.int(),
    queues: z.int().min(1),
    locks: z.array(z.enum(["flows", "state"])),
  }),
  /** `passes`: whether packets passed lately, so that they must after the takeover. */
  z.object({ kind: z.literal("held"), generation: z.int(), passes: z.boolean() }),
  z.object({ kind: z.literal("released") }),
  z.object({
    kind: z.literal("done"),
    from: z.string(),
    to: z.string(),
    pid: z.int(),
    pauseMs: z.number(),
    flows: z.int(),
  }),
  z.object({ kind: z.literal("failed"), reason }),
]);
export type Answering = z.infer<typeof Answering>;

/** Where the one who asks waits for the running process to call back. */
export function takeoverSocket(controlSocket: string): string {
  return `${controlSocket}.takeover`;
}
