// A gigabyte over TCP while all of its packets are captured on both nodes: it arrives, no worker ends, and each file is
// whole and says what it lacks.
import { expect, test } from "vitest";
import { controlSocket, eventually } from "../../src/lab/lab.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport, StatusReport } from "../../src/model/reports.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { RELAYED } from "../support/relay.ts";

const SIZE_BYTES = 2 ** 30;
const NODES = ["node-a", "node-b"] as const;

describeLab("a gigabyte while everything is captured", () => {
  const lab = useLab(() => openLab(RELAYED));

  test("arrives with the same SHA-256, and each packet is in a file or counted", async () => {
    const fileOf = (node: string): string => `/run/${node}.pcapng`;
    const captures = NODES.map((node) => {
      const options = ["--snap-length", "96", "--port", "81", "-w", fileOf(node), "--socket", controlSocket(node)];
      return lab().startSapwood(node, ["capture", ...options]);
    });
    for (const node of NODES) {
      const hasBegun = async (): Promise<boolean> => (await lab().sandbox.run(["test", "-s", fileOf(node)])).code === 0;
      await eventually(`the capture on ${node}`, hasBegun);
    }
    const { sent, received } = await lab().ask<SendResult>("a1", {
      kind: "send",
      address: "10.30.0.3",
      sizeBytes: SIZE_BYTES,
    });
    expect(received).toBe(sent);
    for (const capture of captures) {
      capture.kill("SIGINT");
      const { code, stderr } = await capture.ended;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    }
    for (const node of NODES) {
      const { workers } = await lab().report<StatusReport>(node, "status");
      expect(workers.filter(({ restarts }) => restarts > 0)).toEqual([]);
      const { counters } = await lab().report<CountersReport>(node, "counters");
      const text = await lab().sandbox.expect(["capinfos", "-M", "-c", fileOf(node)]);
      const captured = Number(/Number of packets:\s+(\d+)/.exec(text)?.[1]);
      expect(captured).toBeGreaterThan(0);
      // What passed the tunnel alone: more passed the TUN.
      const passed = (counters.egressPackets ?? 0) + (counters.ingressPackets ?? 0);
      expect(captured + (counters.packetsNotCaptured ?? 0)).toBeGreaterThanOrEqual(passed - 100);
    }
  });
});
