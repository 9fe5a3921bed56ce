// Tests that move many bytes through nodes, of a size that the caller chooses: a share in test/e2e, all in test/long.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { TUNNEL_PORT } from "../../assembly/shared/protocols.ts";
import type { Lab } from "../../src/lab/lab.ts";
import { tablesOf } from "../../src/lab/node-config.ts";
import type { SandboxProgram } from "../../src/lab/sandbox.ts";
import { DEMO, SERVICE_A, SERVICE_B, type Topology, UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import { describeLab, openLab, useLab } from "./lab.ts";

const RELAY_PROGRAM = fileURLToPath(new URL("../e2e/in-workload/relay.mjs", import.meta.url));
const RELAY_ADDRESS = "192.0.2.50";
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
  const topology: Topology = {
    ...DEMO,
    nodes: DEMO.nodes.slice(0, 2),
    workloads: DEMO.workloads.slice(0, 2),
    services: [SERVICE_A, { ...SERVICE_B, instances: SERVICE_B.instances.slice(0, 1) }],
    settings: { tun: { queues } },
  };

  describeLab(`a path that loses and reorders, with ${queues} worker(s) a node`, () => {
    let relay: SandboxProgram;
    const lab = useLab(() =>
      openLab(topology, async (opened) => {
        await opened.sandbox.expect(["ip", "address", "add", `${RELAY_ADDRESS}/24`, "dev", "br0"], UNDERLAY_NAMESPACE);
        const [left, right] = topology.nodes.map((node) => node.underlay.v4) as [string, string];
        const settings = [RELAY_ADDRESS, left, right, LOSS, LATE, SEED].map(String);
        relay = opened.sandbox.start([process.execPath, RELAY_PROGRAM, ...settings], UNDERLAY_NAMESPACE);
        await relay.until("the relay to be ready", ({ stdout }) => stdout.includes("relay ready"));
        // Each node takes the relay for the other one, so that it accepts what comes from there.
        const tables = tablesOf(topology);
        const nodes = tables.nodes.map((node) => ({
          ...node,
          underlay: { address: RELAY_ADDRESS, port: TUNNEL_PORT },
        }));
        for (const { id } of topology.nodes) await opened.startProxy(id, { ...tables, nodes });
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
