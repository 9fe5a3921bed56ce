// A node that is replayed: its clock, and the probes that it sends itself.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Verdict } from "../../../../assembly/shared/verdicts.ts";
import { SELF_TEST_NODE, SELF_TEST_PEER, SELF_TEST_RANGES } from "../../../../src/dataplane/modules/self-test.ts";
import { TestNode } from "../../../../src/dataplane/modules/test-node.ts";
import { builtModulePath } from "../../../../src/dataplane/modules/wasm.ts";
import { ReplayedNode } from "../../../../src/dataplane/worker/replayed-node.ts";
import { readNodeMetrics } from "../../../../src/memory/measurements.ts";

const START_US = 1_000_000_000;
const PEER = 1; // its record

async function replayedNode() {
  const { shared } = await TestNode.create({
    ...{ nodeId: SELF_TEST_NODE, nodes: [SELF_TEST_PEER], services: [], ranges: SELF_TEST_RANGES },
    memory: { capacities: { flows: 64, addresses: 16, instances: 16, workloads: 16, nodes: 4, workers: 1 } },
  });
  const engine = new WebAssembly.Module(readFileSync(builtModulePath("engine")));
  const node = new ReplayedNode({ shared, engine, policies: [] }, START_US);
  const metrics = (nowUs: number) => readNodeMetrics(shared, PEER, nowUs / 1000);
  return { node, metrics };
}

const REPLY = { bytes: new Uint8Array(24), from: SELF_TEST_PEER, trafficClass: 0 };

test("its probes have the round-trip time of the answers, whenever it sent them", async () => {
  const { node, metrics } = await replayedNode();
  node.advance(START_US + 730_000);
  expect(node.answerProbe(REPLY, 7000)).toMatchObject({ verdict: Verdict.taken });
  expect(metrics(START_US + 730_000).rttUs).toBe(7000);
  expect(node.answerProbe(REPLY, 9000)).toBeUndefined(); // it asked nothing more
});

test("a node that falls silent is lost, and one that never answered is not", async () => {
  const { node, metrics } = await replayedNode();
  node.advance(START_US + 9_000_000);
  expect(metrics(START_US + 9_000_000).health).toBe("unknown");
  node.answerProbe(REPLY, 7000);
  node.advance(START_US + 9_100_000);
  expect(metrics(START_US + 9_100_000).health).toBe("reachable");
  node.advance(START_US + 18_000_000);
  expect(metrics(START_US + 18_000_000).health).toBe("lost");
});

test("a pause of years takes no longer than one of seconds", async () => {
  const { node, metrics } = await replayedNode();
  node.advance(START_US + 2 ** 52);
  expect(metrics(START_US + 2 ** 52).health).toBe("unknown");
});
