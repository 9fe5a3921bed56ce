// Tests that move many bytes through nodes, of a size that the caller chooses: a share in test/e2e, all in test/long.
import { expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import type { Topology } from "../../src/lab/topology.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import { describeLab, openLab, useLab } from "./lab.ts";
import { startRelayed } from "./relay.ts";
import { TWO_NODES } from "./topologies.ts";

const LOSS = 0.001;
const LATE = 0.01;
const SEED = 20_261_123;

/** Instance addresses of B 1 and of A 1. */
const ADDRESSES = [
  ["IPv4", "10.30.0.3", "10.30.1.5"],
  ["IPv6", "fdff::3", "fdff::105"],
] as const;

/** From A 1 to B 1, over both families. */
export function itTransfers(what: string, openedLab: () => Lab, sizeBytes: number): void {
  test.for(ADDRESSES)(`${what} over %s`, async ([, address]) => {
    const result = await openedLab().ask<SendResult>("a1", { kind: "send", address, sizeBytes });
    expect(result.received).toBe(result.sent);
  });
}

/** Between two nodes whose datagrams pass a relay that loses some and holds others back. */
export function describeLossyPath(queues: number, sizeBytes: number): void {
  const topology: Topology = { ...TWO_NODES, settings: { tun: { queues } } };

  describeLab(`a path that loses and reorders, with ${queues} worker(s) a node`, () => {
    let relay: SandboxProgram;
    const lab = useLab(() =>
      openLab(topology, async (opened) => {
        relay = await startRelayed(opened, { loss: LOSS, late: LATE, seed: SEED, delayMs: 0 });
      }),
    );

    test.for(ADDRESSES)("transfers in both directions at once arrive over %s", async ([, toB, toA]) => {
      const results = await Promise.all([
        lab().ask<SendResult>("a1", { kind: "send", address: toB, sizeBytes }),
        lab().ask<SendResult>("b1", { kind: "send", address: toA, sizeBytes }),
      ]);
      for (const { sent, received } of results) expect(received).toBe(sent);
    });

    test("the relay did lose and reorder", async () => {
      const { stdout } = await relay.stop();
      const counts = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
      expect(counts.dropped).toBeGreaterThan(0);
      expect(counts.late).toBeGreaterThan(0);
    });
  });
}
