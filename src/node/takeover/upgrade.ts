// Asks the running proxy to start another version of itself, and waits for what comes of it.

import { expectAnswer, openChannel } from "./takeover.ts";

/** For all steps, each of which has a limit of its own (hand-over.ts). */
const UPGRADE_MS = 300_000;

/** `program` is the entry of the version that is to run, `node` the Node.js that runs it. Throws takeover-failed. */
export async function requestUpgrade(socket: string, next: { readonly node: string; readonly program: string }) {
  const channel = await openChannel(socket);
  try {
    channel.send({ kind: "start", ...next });
    const { kind: _done, ...done } = await expectAnswer(channel, "done", UPGRADE_MS);
    return done;
  } finally {
    channel.close();
  }
}
