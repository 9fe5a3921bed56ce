// A path as by satellites, with a round trip of two seconds: five probe intervals, so that many probes are under way.
import { expect, test } from "vitest";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import type { CallResult, SendResult } from "../../src/lab/workload-protocol.ts";
import type { NodeReport } from "../../src/model/reports.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { startRelayed } from "../support/relay.ts";
import { TWO_NODES } from "../support/topologies.ts";

const ONE_WAY_MS = 1000;
const ROUND_TRIP_MS = 2 * ONE_WAY_MS;
/** Some windows of TCP, so that it takes a good many round trips. */
const TRANSFER_BYTES = 2 ** 18;
const SILENCE_MS = 3000; // after which a node is lost
const CLOSEST = ["10.30.0.1", "fdff:1000::1"];

async function peerOf(lab: Lab, node: string): Promise<NodeReport | undefined> {
  const nodes = await lab.report<NodeReport[]>(node, "nodes");
  return nodes.find(({ isLocal }) => !isLocal);
}

describeLab(`a path with a round trip of ${ROUND_TRIP_MS} ms`, () => {
  const lab = useLab(() =>
    openLab(TWO_NODES, async (opened) => {
      await startRelayed(opened, { loss: 0, late: 0, seed: 1, delayMs: ONE_WAY_MS });
    }),
  );

  test("is measured by both nodes, and neither takes the other for lost", async () => {
    for (const node of ["node-a", "node-b"]) {
      // The answer is measured when it comes, and the worker's next look takes the node for reachable.
      await eventually(`${node} to know the other`, async () => (await peerOf(lab(), node))?.state === "reachable");
      const peer = await peerOf(lab(), node);
      expect(peer?.rttMs).toBeGreaterThanOrEqual(ROUND_TRIP_MS);
      expect(peer?.rttMs).toBeLessThan(10 * ROUND_TRIP_MS);
    }
  });

  test.for(CLOSEST)("calls to %s are answered", async (address) => {
    const calls = [
      { protocol: "http", address },
      { protocol: "udp", address },
    ] as const;
    for (const { instances, failures } of await lab().ask<CallResult[]>("a1", { kind: "together", calls, rounds: 1 })) {
      expect({ instances, failures }).toEqual({ instances: ["B 1"], failures: [] });
    }
  });

  test("a transfer over it arrives, and all the while the nodes know each other", async () => {
    const job = { kind: "send", address: "10.30.0.3", sizeBytes: TRANSFER_BYTES } as const;
    const { sent, received, durationMs } = await lab().ask<SendResult>("a1", job);
    expect(received).toBe(sent);
    expect(durationMs).toBeGreaterThan(SILENCE_MS);
    for (const node of ["node-a", "node-b"]) {
      const peer = await peerOf(lab(), node);
      expect(peer?.state).toBe("reachable");
      // It was never lost in between.
      expect(peer?.stateAgeMs).toBeGreaterThan(durationMs);
    }
  });
});
