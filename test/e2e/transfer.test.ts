// A gigabyte through two nodes and the tunnel between them arrives as it was sent.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Lab } from "../../src/lab/lab.ts";
import { DEMO } from "../../src/lab/topology.ts";
import type { SendResult } from "../../src/lab/workload-protocol.ts";
import { describeLab, openLab } from "../support/lab.ts";

const SIZE_BYTES = 2 ** 30;
const SMALL_SIZE_BYTES = 2 ** 24;
const ADDRESSES = [
  ["IPv4", "10.30.0.3"],
  ["IPv6", "fdff::3"],
] as const;

describeLab("1 GiB over TCP through two nodes", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await openLab(DEMO);
  });
  afterAll(() => lab?.close());

  test.for(ADDRESSES)("arrives with the same SHA-256 over %s", async ([, address]) => {
    const result = await lab.ask<SendResult>("a1", { kind: "send", address, sizeBytes: SIZE_BYTES });
    expect(result.received).toBe(result.sent);
  });
});

describeLab("workloads whose MTU is larger than the tunnel's", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await openLab({ ...DEMO, workloadMtu: 1500, underlayMtu: 1400 });
  });
  afterAll(() => lab?.close());

  test.for(ADDRESSES)("learn the path's MTU over %s", async ([, address]) => {
    const result = await lab.ask<SendResult>("a1", { kind: "send", address, sizeBytes: SMALL_SIZE_BYTES });
    expect(result.received).toBe(result.sent);
  });
});
