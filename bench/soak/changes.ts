// What happens to a lab in a soak, one thing at a time, each chosen by the seed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtFile } from "../../src/lab/build-paths.ts";
import { controlSocket, eventually, type Lab } from "../../src/lab/lab.ts";
import { UNDERLAY_NAMESPACE } from "../../src/lab/topology.ts";
import type { EngineReport } from "../../src/model/module-reports.ts";
import type { StatusReport } from "../../src/model/reports.ts";
import { faultyEngines } from "../../test/support/faulty-engines.ts";
import type { Random } from "../../test/support/random.ts";
import { SWEEP, turningLater } from "../../test/support/turning-engines.ts";
import { seeingProcesses } from "./processes.ts";

/** Modules in the place of others; none of them is asked about the connections that there are. */
const POLICIES = ["round-robin", "weighted", "closest", "least-connections"];
/** Of the underlay: the TUN's packets no longer fit into the smaller ones. */
const UNDERLAY_MTUS = [1300, 1400, 1500, 1500];
const EXTRA_SERVICES_MOST = 200;

/** A name of what was done, once it was. */
type Change = () => Promise<string>;

/** Those proxies that `mortal` names at the time are killed and taken over from; tables, modules and networks change at all of `nodes`. */
export async function changesOf(
  lab: Lab,
  nodes: readonly string[],
  mortal: () => readonly string[],
  random: Random,
): Promise<readonly Change[]> {
  const node = (): string => random.pick(nodes);
  const folder = mkdtempSync(join(tmpdir(), "sapwood-soak-"));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  const engines = [builtFile("wasm/engine.wasm"), otherBuild(folder)];
  const trapping = await trappingBuild(folder);
  return [
    () => killed(lab, random.pick(mortal())),
    async () => (await Promise.all(mortal().map((one) => killed(lab, one)))).join(", "),
    () => done(lab, random.pick(mortal()), ["upgrade"]),
    () => tablesChanged(lab, node(), random.below(EXTRA_SERVICES_MOST)),
    () => done(lab, node(), ["policy", "load", "soak", builtFile(`wasm/policies/${random.pick(POLICIES)}.wasm`)]),
    () => done(lab, node(), ["engine", "load", random.pick(engines)]),
    () => workersFailed(lab, random.pick(mortal()), trapping),
    () => underlayChanged(lab, node(), random.pick(UNDERLAY_MTUS)),
  ];
}

/** The engine as another module: with a section of its own, which means nothing (WebAssembly, 5.5.3). */
function otherBuild(folder: string): string {
  const name = Buffer.from("soak");
  const section = Buffer.concat([Buffer.of(0, name.length + 1, name.length), name]);
  const file = join(folder, "engine.wasm");
  writeFileSync(file, Buffer.concat([readFileSync(builtFile("wasm/engine.wasm")), section]));
  return file;
}

/** An engine that ends the worker that calls it, in a process that has not run for long. */
async function trappingBuild(folder: string): Promise<string> {
  const fault = turningLater(SWEEP, "unreachable();");
  const file = join(folder, "trapping.wasm");
  writeFileSync(file, (await faultyEngines([fault])).get(fault) as Uint8Array);
  return file;
}

async function killed(lab: Lab, node: string): Promise<string> {
  const { pid } = await lab.report<StatusReport>(node, "status");
  // It may be one that took over, which nobody here started. One that ended and was not waited for has no program.
  await seeingProcesses(lab, node, `kill -KILL ${pid}; while readlink /proc/${pid}/exe; do sleep 0.01; done; true`);
  await lab.startProxy(node);
  return `${node} killed`;
}

async function done(lab: Lab, node: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.sapwood(node, args);
  if (code !== 0) throw new Error(`sapwood ${args.join(" ")} at ${node} ended with ${code}: ${stderr}${stdout}`);
  return `${node}: ${args.slice(0, 2).join(" ")}`;
}

/** Every worker of a new process ends in a call, and goes on with the engine before. */
async function workersFailed(lab: Lab, node: string, engine: string): Promise<string> {
  await killed(lab, node);
  const { code, stderr } = await lab.sapwood(node, ["engine", "load", engine]);
  if (code !== 0 && !stderr.includes("was taken out of force")) throw new Error(`${node} refused an engine: ${stderr}`);
  await eventually(`the engine before at ${node}`, async () => {
    const { lastError } = await lab.report<EngineReport>(node, "engine"); // null in a new process
    return lastError !== null;
  });
  return `${node}: its workers failed`;
}

/** Services that nobody calls come beside the others. */
async function tablesChanged(lab: Lab, node: string, count: number): Promise<string> {
  const service = (i: number): string =>
    `{ name: soak-${i}, instances: [], addresses: [{ address: 10.30.200.${i + 1}, policy: closest }] }`;
  const file = `${controlSocket(node)}.yaml`;
  lab.sandbox.writeFile(file, `services: [${Array.from({ length: count + 1 }, (_, i) => service(i)).join(", ")}]`);
  return done(lab, node, ["apply", "--merge", file]).then((what) => `${what} of ${count + 1} services`);
}

/** Both ends of a node's cable. */
async function underlayChanged(lab: Lab, node: string, mtu: number): Promise<string> {
  await lab.sandbox.expect(["ip", "link", "set", "dev", "eth0", "mtu", String(mtu)], node);
  await lab.sandbox.expect(["ip", "link", "set", "dev", node, "mtu", String(mtu)], UNDERLAY_NAMESPACE);
  return `${node}: underlay MTU ${mtu}`;
}
