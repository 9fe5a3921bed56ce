// Closest from end to end, on a clock of its own: probes measure nodes whose distance changes, the policy module sees
// what they measured, and new flows follow. Flows that have begun do not.
import { expect, test } from "vitest";
import * as ProbeLayout from "../../assembly/shared/layout/probe.ts";
import { PolicyHost } from "../../src/dataplane/worker/policies.ts";
import type { EngineFixture } from "../support/engine-fixture.ts";
import { corrupt, packet } from "../support/packet-builder.ts";
import { compilePolicy, countEach } from "../support/policies.ts";
import { Random, testSeed } from "../support/random.ts";
import { A1, CLOSEST, NODE, onNodeA, TO } from "../support/world.ts";

const PROBE_INTERVAL_MS = 400; // the default
const STEP_MS = 10;
const FLOW_EVERY_STEPS = 2;
const NODES = [
  { endpoint: TO.b, from: NODE.b.underlay, name: "b" },
  { endpoint: TO.c, from: NODE.c.underlay, name: "c" },
  { endpoint: TO.d, from: NODE.d.underlay, name: "d" },
] as const;

type Node = (typeof NODES)[number];
type RttMs = Readonly<Record<Node["name"], number>>;

interface Opened {
  readonly atMs: number;
  readonly node: string | undefined;
}

/** A network whose round-trip times are those of the moment, and a client that opens a flow every 20 ms. */
class Network {
  nowMs = 0;
  readonly #fixture: EngineFixture;
  readonly #replies: { readonly dueMs: number; readonly node: Node; readonly bytes: Uint8Array }[] = [];
  #sport = 1024;

  private constructor(fixture: EngineFixture) {
    this.#fixture = fixture;
  }

  static async open(): Promise<Network> {
    const fixture = await onNodeA({ memory: { probeIntervalMs: PROBE_INTERVAL_MS } });
    const modules = [{ slot: 0, name: "closest", module: await compilePolicy("closest") }];
    const host = new PolicyHost(fixture.shared.memory, modules, 0, { clockMs: () => fixture.nowMs });
    fixture.policy = ({ flowHash, clientHash }, serviceAt) => host.choose(serviceAt, flowHash, clientHash);
    return new Network(fixture);
  }

  /** The flows that were opened until then. */
  run(untilMs: number, rttMs: (nowMs: number) => RttMs): Opened[] {
    const opened: Opened[] = [];
    for (let step = 0; this.nowMs < untilMs; step += 1) {
      this.#probe(rttMs(this.nowMs));
      if (step % FLOW_EVERY_STEPS === 0) opened.push({ atMs: this.nowMs, node: this.openFlow() });
      this.#fixture.advance(STEP_MS);
      this.nowMs += STEP_MS;
    }
    return opened;
  }

  /** The node that a new flow's packet went to. */
  openFlow(): string | undefined {
    this.#sport += 1;
    return this.send(this.#sport);
  }

  send(sport: number): string | undefined {
    const [sent] = this.#fixture.egress(packet().ip(A1.v4, CLOSEST.b.v4).udp({ sport, dport: 53 }).frame()).datagrams;
    return NODES.find(({ endpoint }) => endpoint === sent?.endpoint)?.name;
  }

  #probe(rttMs: RttMs): void {
    for (const { endpoint, bytes } of this.#fixture.probe().datagrams) {
      const node = NODES.find((one) => one.endpoint === endpoint);
      if (node === undefined) throw new Error(`a probe to ${endpoint}`);
      const reply = corrupt(bytes, ProbeLayout.TYPE_AT, ProbeLayout.REPLY);
      this.#replies.push({ dueMs: this.nowMs + rttMs[node.name], node, bytes: reply });
    }
    const due = this.#replies.filter(({ dueMs }) => dueMs <= this.nowMs);
    for (const reply of due) {
      this.#replies.splice(this.#replies.indexOf(reply), 1);
      this.#fixture.ingress({ ...reply.node.from, bytes: reply.bytes });
    }
  }
}

/** Nodes of the flows that were opened from then on, each once. */
function nodesFrom(opened: readonly Opened[], fromMs: number): (string | undefined)[] {
  return [...new Set(opened.filter(({ atMs }) => atMs >= fromMs).map(({ node }) => node))];
}

test.each([
  { change: "the nearest becomes the farthest", after: { b: 90, c: 30, d: 200 }, to: "c" },
  { change: "another one becomes the nearest", after: { b: 20, c: 200, d: 10 }, to: "d" },
])("when $change, new flows follow within 2 s and stay", async ({ after, to }) => {
  const network = await Network.open();
  const before = network.run(3000, () => ({ b: 20, c: 200, d: 400 }));
  expect(nodesFrom(before, 1000)).toEqual(["b"]);
  const opened = network.run(20_000, () => after);
  expect(nodesFrom(opened, 3000 + 2000)).toEqual([to]);
});

test("and back again, within 2 s each time", async () => {
  const network = await Network.open();
  const far = { b: 90, c: 30, d: 200 };
  const near = { b: 10, c: 30, d: 200 };
  for (let round = 1; round <= 10; round += 1) {
    const startMs = network.nowMs;
    const [rttMs, node] = round % 2 === 0 ? ([far, "c"] as const) : ([near, "b"] as const);
    expect(
      nodesFrom(
        network.run(startMs + 6000, () => rttMs),
        startMs + 2000,
      ),
      `round ${round}`,
    ).toEqual([node]);
  }
});

test.each([
  { times: "near each other, each within a tenth", base: { b: 100, c: 105, d: 400 }, part: 0.1 },
  { times: "at the limit of what is equal", base: { b: 100, c: 119, d: 400 }, part: 0.03 },
  { times: "far apart, each within a quarter", base: { b: 100, c: 200, d: 400 }, part: 0.25 },
])("times $times for a minute: who gets new flows stays the same, once it is settled", async ({ base, part }) => {
  const random = new Random(testSeed(31));
  const waver = (ms: number): number => ms * (1 + part * (random.below(2001) / 1000 - 1));
  const network = await Network.open();
  const rttMs = (): RttMs => ({ b: waver(base.b), c: waver(base.c), d: waver(base.d) });
  network.run(5000, rttMs);
  const opened = network.run(65_000, rttMs);
  // Those that are equally near share exactly, all the time.
  const counts = [...countEach(opened.map(({ node }) => node)).values()];
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  expect(opened.filter(({ node }) => node === "d")).toEqual([]);
});

test("a flow that has begun keeps its instance when another becomes nearer", async () => {
  const network = await Network.open();
  network.run(1000, () => ({ b: 20, c: 200, d: 400 }));
  expect(network.send(999)).toBe("b");
  network.run(6000, () => ({ b: 300, c: 20, d: 400 }));
  expect([network.openFlow(), network.send(999)]).toEqual(["c", "b"]);
});
