// A gigabyte over TCP while all of its packets are captured on both nodes: it arrives, no worker ends, and each file is
// whole and says what it lacks.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { controlSocket, eventually, type Lab } from "../../src/lab/lab.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport, StatusReport } from "../../src/model/reports.ts";
import { describeLab, openLab, useLab } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const SIZE_BYTES = 2 ** 30;
const BLOCK_MIN = 12;
const STATISTICS_BLOCK = 5;
const PACKET_BLOCK = 6;
/** Packets of other ports, and those of the connection's beginning. */
const OTHERS_MAX = 100;
const NODES = ["node-a", "node-b"] as const;

describeLab("a gigabyte while everything is captured", () => {
  const lab = useLab(() => openLab(TWO_NODES));

  test("arrives with the same SHA-256, and each packet is in a file or counted", async () => {
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
    for (const node of NODES) await eventually(`all of ${node} to be told`, () => isAllTold(lab(), node));
    for (const capture of captures) {
      capture.kill("SIGINT");
      const { code, stderr } = await capture.ended;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    }
    for (const node of NODES) {
      await lab().sandbox.expect(["capinfos", fileOf(node)]);
      const { workers } = await lab().report<StatusReport>(node, "status");
      expect(workers.filter(({ restarts }) => restarts > 0)).toEqual([]);
    }
  });
});

function fileOf(node: string): string {
  return `/run/${node}.pcapng`;
}

/** Whether the file has, or says that it lacks, as many packets as passed the tunnel; more passed the TUN. */
async function isAllTold(lab: Lab, node: string): Promise<boolean> {
  const { counters } = await lab.report<CountersReport>(node, "counters");
  const { packets, dropped } = readCapture(readFileSync(lab.sandbox.pathFromOutside(fileOf(node))));
  const unseen = counters.packetsNotCaptured ?? 0; // they are at both interfaces
  const passed = (counters.egressPackets ?? 0) + (counters.ingressPackets ?? 0);
  return packets + dropped.reduce((sum, count) => sum + count, 0) - unseen >= passed - OTHERS_MAX;
}

/** Packet blocks, and what the last statistics of each interface say that was dropped. */
function readCapture(file: Buffer): { readonly packets: number; readonly dropped: readonly number[] } {
  const dropped = [0, 0];
  let packets = 0;
  for (let at = 0; at + BLOCK_MIN <= file.length; ) {
    const [type, length] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)];
    if (at + length > file.length) break; // is being written
    if (type === PACKET_BLOCK) packets += 1;
    // The counter of the option isb_ifdrop is the last before the end of the options and the length.
    if (type === STATISTICS_BLOCK) dropped[file.readUInt32LE(at + 8)] = file.readUInt32LE(at + length - 16);
    at += length;
  }
  return { packets, dropped };
}
