// What a flow's beginning costs by how its instance is found: through the policy in its own module (engine, host,
// module and back), or by the same rotation as if it were built into the engine: a function on the engine's memory that
// takes the place of its import, so that neither host nor module is in between. And without any choice at all.
import * as ServiceLayout from "../assembly/shared/layout/service.ts";
import type { EngineImports } from "../src/dataplane/modules/engine-contract.ts";
import type { Service } from "../src/model/tables.ts";
import { tcpPacket } from "../test/support/packet-builder.ts";
import { assemble } from "../test/support/wat.ts";
import { BenchNode, instance, TABLES } from "./bench-node.ts";
import type { Case, Work } from "./harness.ts";

const CANDIDATE_COUNTS = [3, 100, 600] as const;
const CLIENT = "10.18.0.2";
const CALLED = "10.30.0.1";
const FIRST_INSTANCE = "10.30.2.0";
const FIRST_PORT = 1024;
const NEW_FLOWS = 4096; // per call

const BUILT_IN = `(module
  (import "env" "memory" (memory 1 65536 shared))
  (global $turn (mut i32) (i32.const 0))
  (func (export "choose") (param $serviceAt i32) (param $flowHash i32) (param $clientHash i32) (result i32)
    (global.set $turn (i32.add (global.get $turn) (i32.const 1)))
    (i32.rem_u (global.get $turn) (i32.load offset=${ServiceLayout.CANDIDATE_COUNT} (local.get $serviceAt)))))`;

export async function newFlowCases(): Promise<readonly Case[]> {
  const choices = await Promise.all(
    CANDIDATE_COUNTS.map(async (count) => ({
      name: `new flow: round robin, ${count} candidates`,
      unit: "ns" as const,
      fast: await opening(CALLED, count),
      twin: await opening(CALLED, count, builtIn),
    })),
  );
  return [
    ...choices,
    { name: "new flow: instance address, no choice", unit: "ns", fast: await opening(FIRST_INSTANCE, 3) },
  ];
}

/** Opens flows to an address, and forgets them all before the next call. */
async function opening(called: string, count: number, choose?: typeof builtIn): Promise<Work> {
  const node = await BenchNode.create({
    capacities: { addresses: 2048, instances: 1024 },
    services: [...TABLES.services.filter(({ name }) => name === "client"), server(count)],
    ...(choose === undefined ? {} : { choose }),
  });
  const frames = Array.from({ length: NEW_FLOWS }, (_, i) =>
    tcpPacket(CLIENT, called, { sport: FIRST_PORT + i, dport: 80 }, 24).frame(),
  );
  const egress = node.egress(frames);
  return {
    amount: NEW_FLOWS,
    run: () => {
      node.forgetFlows();
      egress();
    },
  };
}

async function builtIn(memory: WebAssembly.Memory): Promise<EngineImports["policy"]["choose"]> {
  const module = await WebAssembly.compile(assemble(BUILT_IN));
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  return exports["choose"] as EngineImports["policy"]["choose"];
}

function server(count: number): Service {
  const instances = Array.from({ length: count }, (_, i) => {
    const [high, low] = [i >> 8, i & 0xff];
    return { ...instance("node-b", [`10.19.${high}.${low}`], [`10.30.${2 + high}.${low}`]), number: i };
  });
  return { name: "server", addresses: [{ address: CALLED, policy: "round-robin" }], instances };
}
