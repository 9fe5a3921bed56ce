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

import * as z from "zod";

/** Raise it when a message means something else. Both sides have to have the same. */
export const TAKEOVER_PROTOCOL = 1;

const protocol = z.int();
const reason = z.string().describe("one sentence");
const version = z.string().max(64);
const path = z
  .string()
  .max(4096)
  .regex(/^[^\0]+$/); // PATH_MAX (linux/limits.h)
const milliseconds = z.number().min(0);
const count = z.int().min(0);

/** Of the one who asked, to the running process. */
export const Asking = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("takeOver"), protocol, version }),
  z.object({ kind: z.literal("start"), node: path, program: path }),
  z.object({ kind: z.literal("prepared") }),
  z.object({ kind: z.literal("flowing"), pauseMs: milliseconds, flows: count }),
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
    version,
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
    from: version,
    to: version,
    pid: z.int(),
    pauseMs: milliseconds,
    flows: count,
  }),
  z.object({ kind: z.literal("failed"), reason }),
]);
export type Answering = z.infer<typeof Answering>;

/** Where the one who asks waits for the running process to call back. */
export function takeoverSocket(controlSocket: string): string {
  return `${controlSocket}.takeover`;
}
