// Proxies whose devices lose, double, reorder, delay, cut and spoil what comes, and whose system calls fail: what the
// workloads get is right all the same, no worker dies, and the counters tell what was lost. The packets are not judged
// on the way, as some are spoilt.
import { expect, test } from "vitest";
import { Lab } from "../../src/lab/lab.ts";
import type { CallPlan, CallResult, SendResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport, StatusReport } from "../../src/model/reports.ts";
import { describeLab, useLab } from "../support/lab.ts";
import { TWO_NODES } from "../support/topologies.ts";

const SIZE_BYTES = 2 ** 24;
const ROUNDS = 25;
const QUEUES = 2;
/** Instance addresses of A 1 and B 1, in both families. */
const [TO_A, TO_B] = [
  ["10.30.1.5", "fdff::105"],
  ["10.30.0.3", "fdff::3"],
];
const BALANCED = ["10.30.0.1", "10.30.0.2", "fdff:1000::1", "fdff:2000::1"];

const ARRIVALS = { drop: 0.01, duplicate: 0.01, reorder: 0.02, delay: 0.01, truncate: 0.005 };
const FAULTS = {
  seed: 20_261_127,
  // What is spoilt before its checksum is made is nobody's to find: nothing is on its way from the TUN.
  tun: { ...ARRIVALS, error: 0.02, errnos: ["EAGAIN", "EINTR", "ENOBUFS", "EIO"], short: 0.02 },
  tunnel: {
    ...ARRIVALS,
    corrupt: 0.01,
    error: 0.15, // what fails once is tried again
    errnos: ["EAGAIN", "EINTR", "ENOBUFS", "EIO", "EMSGSIZE", "ENETUNREACH", "EPERM"],
    short: 0.1,
  },
};

/** What is said of a packet that was cut. */
const CUT = ["emptyDatagram", "truncatedFrame", "truncatedHeader", "badTotalLength"];

describeLab("devices with faults", () => {
  const lab = useLab(async () => {
    const environment = { SAPWOOD_FAULTS: JSON.stringify(FAULTS) };
    const opened = await Lab.open({ ...TWO_NODES, settings: { tun: { queues: QUEUES } }, environment });
    await opened.startProxies();
    return opened;
  });
  const nodes = (): string[] => lab().topology.nodes.map(({ id }) => id);

  test("transfers in both directions at once arrive over both families", async () => {
    const send = (workload: string, addresses: readonly string[] = []): Promise<SendResult>[] =>
      addresses.map((address) => lab().ask<SendResult>(workload, { kind: "send", address, sizeBytes: SIZE_BYTES }));
    const results = await Promise.all([...send("a1", TO_B), ...send("b1", TO_A)]);
    for (const { sent, received } of results) expect(received).toBe(sent);
  });

  test("each numbered call, over UDP or HTTP, gets its own answer", async () => {
    const calls = BALANCED.flatMap((address): CallPlan[] => [
      { protocol: "udp", address },
      { protocol: "http", address },
    ]);
    const results = await lab().ask<CallResult[]>("a1", { kind: "together", calls, rounds: ROUNDS });
    const answers = Array<string>(ROUNDS).fill("B 1");
    results.forEach(({ instances, answeredFrom, failures }, i) => {
      expect({ instances, answeredFrom, failures }).toEqual({
        instances: answers,
        answeredFrom: [calls[i]?.address],
        failures: [],
      });
    });
  });

  test.for(["node-a", "node-b"])("on %s no worker died, and the counters tell what was lost", async (node) => {
    const { workers } = await lab().report<StatusReport>(node, "status");
    expect(workers.map(({ restarts }) => restarts)).toEqual(Array<number>(QUEUES).fill(0));
    const { counters, drops } = await lab().report<CountersReport>(node, "counters");
    expect(counters.faultsInjected).toBeGreaterThan(100);
    expect(drops.egress.sendFailed, "sent, and refused twice").toBeGreaterThan(0);
    expect(drops.ingress.sendFailed, "written, and refused").toBeGreaterThan(0);
    expect(total(drops.ingress, CUT), "received, and cut").toBeGreaterThan(0);
    expect(total(drops.egress, CUT), "read, and cut").toBeGreaterThan(0);
  });

  test("the log says that the proxy is under test", () => {
    for (const node of nodes()) expect(lab().proxy(node).stderr).toContain("faults are injected");
  });
});

function total(drops: Readonly<Record<string, number>>, reasons: readonly string[]): number {
  return reasons.reduce((sum, reason) => sum + (drops[reason] ?? 0), 0);
}
