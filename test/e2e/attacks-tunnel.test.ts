// Who may speak through the tunnel. A host on the underlay that is no node, a program without rights beside a node's
// proxy, and a node that speaks for another one's instances try to be heard by a workload, and fail, while the workload's
// own connections go on. One lab for all.
import { afterAll, beforeAll, expect, test } from "vitest";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import { eventually, type Lab } from "../../src/lab/lab.ts";
import { addVethPairs, configure } from "../../src/lab/netns.ts";
import { UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { CallResult } from "../../src/lab/workload-protocol.ts";
import type { CountersReport } from "../../src/model/reports.ts";
import { fragmentsOf } from "../support/fragments.ts";
import { describeLab, openLab } from "../support/lab.ts";
import { packet } from "../support/packet-builder.ts";
import { spoof } from "../support/spoof.ts";
import { TWO_NODES } from "../support/topologies.ts";

const STRANGER = "stranger";
const STRANGER_ADDRESS = "192.0.2.99";
const [NODE_A, NODE_B] = ["192.0.2.11", "192.0.2.12"];
/** A 1 on node-a, B 1 on node-b, and B's round robin. */
const A1 = "10.101.3.23";
const B1 = "10.30.0.3";
const B_BALANCED = "10.30.0.2";
const PACKETS = 50;

/** What would do harm if it were let in. */
const FORGERIES = {
  "an answer of an instance": udp(B1),
  "an answer of a service address": udp(B_BALANCED),
  "an answer of an address that nobody has": udp("10.30.77.77"),
  "a refusal": error({ type: 3, code: 3 }),
  "a path MTU": error({ type: 3, code: 4, words: [0, 576] }),
  "a later fragment": fragmentsOf(
    packet().ip(B1, A1).udp({ sport: 80, dport: 4000 }).payload(3000).bytes(),
    1400,
    7,
  )[1],
  "a probe": probe(),
  "nothing at all": new Uint8Array(0),
} as const;

describeLab("the tunnel", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab(TWO_NODES);
    await configure(lab.sandbox, undefined, [`netns add ${STRANGER}`]);
    const ends = [
      { namespace: STRANGER, device: "eth0" },
      { namespace: UNDERLAY_NAMESPACE, device: STRANGER },
    ] as const;
    await addVethPairs(lab.sandbox, [{ ends, mtu: 1500 }]);
    await configure(lab.sandbox, UNDERLAY_NAMESPACE, [`link set ${STRANGER} master br0`, `link set ${STRANGER} up`]);
    await configure(lab.sandbox, STRANGER, ["link set eth0 up", `address add ${STRANGER_ADDRESS}/24 dev eth0`]);
  });

  afterAll(() => lab?.close());

  test.each(Object.entries(FORGERIES))("a host that is no node is not heard: %s", async (_what, bytes) => {
    const before = await ingress();
    expect(await send(STRANGER, STRANGER_ADDRESS, TUNNEL_PORT, bytes)).toEqual({ sent: PACKETS, answers: 0 });
    await expectUndisturbed(before);
  });

  test.each(["an answer of an instance", "an answer of a service address", "a probe"] as const)(
    "a program beside a node's proxy is not heard, whose port is another: %s",
    async (what) => {
      const before = await ingress();
      expect(await send("node-b", NODE_B, 50104, FORGERIES[what])).toEqual({ sent: PACKETS, answers: 0 });
      await expectUndisturbed(before);
    },
  );

  test("one packet between two echo services does not go round for ever", async () => {
    // Both echo over UDP; the packet says that each had asked the other one.
    const before = await ingress();
    const bytes = packet().ip(B1, A1).udp({ sport: 80, dport: 80 }).payload("round").bytes();
    await send(STRANGER, STRANGER_ADDRESS, TUNNEL_PORT, bytes);
    await expectUndisturbed(before);
  });

  /** Sends a datagram many times from a namespace to node-a's tunnel, until node-a has dropped them all. */
  async function send(namespace: string, source: string, port: number, bytes: Uint8Array | undefined) {
    const { unknownNode } = await ingress();
    const hex = Buffer.from(bytes ?? []).toString("hex");
    return await spoof(
      lab.sandbox,
      { namespace, from: [source, port], to: [NODE_A, TUNNEL_PORT], datagrams: Array(PACKETS).fill(hex) },
      () => eventually("node-a to drop them", async () => (await ingress()).unknownNode >= unknownNode + PACKETS),
    );
  }

  async function ingress() {
    const { counters, drops } = await lab.report<CountersReport>("node-a", "counters");
    const { unknownNode = 0, ...others } = drops.ingress;
    return { held: counters.fragmentsHeld, unknownNode, others };
  }

  /** All forged packets were dropped for whom they come from, and what the workload asks for is answered. */
  async function expectUndisturbed(before: Awaited<ReturnType<typeof ingress>>): Promise<void> {
    expect(await ingress()).toEqual({ ...before, unknownNode: before.unknownNode + PACKETS });
    const calls = (["http", "udp"] as const).map((protocol) => ({ protocol, address: B1 }));
    const results = await lab.ask<CallResult[]>("a1", { kind: "together", calls, rounds: 2 });
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
  }
});

function udp(source: string): Uint8Array {
  return packet().ip(source, A1).udp({ sport: 80, dport: 4000 }).payload("forged").bytes();
}

function error(fields: {
  readonly type: number;
  readonly code: number;
  readonly words?: readonly [number, number];
}): Uint8Array {
  const quoted = packet().ip(A1, B1).tcp({ sport: 4000, dport: 80 }).payload(8).bytes();
  return packet().ip(B1, A1).icmp(fields).payload(quoted).bytes();
}

function probe(): Uint8Array {
  const bytes = new Uint8Array(ProbeLayout.SIZE);
  new DataView(bytes.buffer).setUint16(0, ProbeLayout.MAGIC, true);
  bytes.set([ProbeLayout.VERSION, ProbeLayout.REQUEST], 2);
  return bytes;
}
