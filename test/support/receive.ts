// Runs received messages through a fixture's engine and hands back the frames as they go to the TUN, with the count of
// packets that each carries.
import * as WorkerLayout from "../../assembly/shared/layout/worker.ts";
import type { EngineFixture } from "./engine-fixture.ts";
import type { TunWrite } from "./engine-memory.ts";
import type { Counts } from "./reference/counts.ts";
import type { Message } from "./reference/translator.ts";

interface Received {
  readonly writes: readonly TunWrite[];
  readonly counts: Counts;
}

/** Batch after batch, beside the fixture's twin, which knows no super-packets. */
export function receive(fixture: EngineFixture, messages: readonly Message[]): Received {
  const before = fixture.io.snapshot();
  const writes: TunWrite[] = [];
  for (let start = 0; start < messages.length; start += WorkerLayout.BATCH_SIZE) {
    const batch = messages.slice(start, start + WorkerLayout.BATCH_SIZE);
    batch.forEach((message, i) => {
      fixture.io.putMessage(i, message);
    });
    for (let first = 0; first < batch.length; ) {
      const next = fixture.engine.ingress(first, batch.length, fixture.nowUs);
      if (next <= first) throw new Error(`the engine stays at message ${first}`);
      writes.push(...fixture.io.tunWrites());
      first = next;
    }
  }
  return { writes, counts: fixture.io.countsSince(before) };
}
