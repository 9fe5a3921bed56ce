// The demonstration: the five requests of the platform's documentation, played by a real client against real servers,
// each compared with what the platform promises.
import * as Protocol from "../../assembly/shared/protocol.ts";
import { TUNNEL_PORT } from "../../assembly/shared/sockets.ts";
import type { NodeReport } from "../model/reports.ts";
import { canonicalAddress, familyOf } from "../net/address.ts";
import { eventually, instanceName, Lab } from "./lab.ts";
import type { SandboxProgram } from "./sandbox.ts";
import type { Topology } from "./topology.ts";
import type { InnerPacket } from "./tunnel-packet.ts";
import { type CallResult, SERVICE_PORT } from "./workload-protocol.ts";

const CAPTURE_TIMEOUT_MS = 60_000;
const TRIES = 10;
/** Half of the difference up to which the policy takes round-trip times for equal. */
const EQUAL_RTT_MS = 0.5;

/** What the platform promises for a request: who answers. */
interface Promised {
  readonly number: number; // in the documentation; 5 speaks of both IPv4 addresses
  readonly address: string;
  readonly by: (instance: string, previous: string | undefined) => boolean;
  readonly expectation: string;
}

const anyOfB = (instance: string) => instance.startsWith("B ");
const PROMISES: readonly Promised[] = [
  { number: 1, address: "fdff:1000::1", by: (name) => name === "B 1", expectation: "the closest instance, B 1" },
  { number: 2, address: "fdff:2000::1", by: anyOfB, expectation: "an instance of B" },
  {
    number: 3,
    address: "fdff:2000::1",
    by: (name, previous) => anyOfB(name) && name !== previous,
    expectation: "another instance of B than before",
  },
  { number: 4, address: "fdff::5", by: (name) => name === "B 3", expectation: "B 3 and nobody else" },
  { number: 5, address: "10.30.0.2", by: anyOfB, expectation: "an instance of B, as with IPv6" },
  { number: 5, address: "10.30.0.1", by: (name) => name === "B 1", expectation: "the closest instance, B 1" },
];

/** How a request went; the fields of `sapwood lab --json` and what the report for people adds. */
export interface RequestOutcome {
  readonly number: number;
  readonly address: string;
  readonly policy: string;
  readonly instance: string;
  readonly node: string;
  readonly inner: { readonly src: string; readonly dst: string }; // captured on the underlay
  readonly answeredFrom: string;
  readonly ok: boolean;
  readonly faults: readonly string[]; // sentences: what was expected and what was found
}

/**
 * Waits until a node knows how far the others are. The lab's underlay is equally fast everywhere, so that distance
 * decides who is closest; the first samples still hold address resolution and the start of everybody's processes.
 */
async function untilMeasured(lab: Lab, node: string): Promise<void> {
  await eventually(`${node} to measure that all other nodes are equally fast to reach`, () =>
    areEquallyFast(lab, node),
  );
}

async function areEquallyFast(lab: Lab, node: string): Promise<boolean> {
  const nodes = await lab.report<readonly NodeReport[]>(node, "nodes");
  const rttsMs = nodes.filter(({ isLocal }) => !isLocal).map(({ rttMs }) => rttMs ?? Number.POSITIVE_INFINITY);
  return Math.max(...rttsMs) - Math.min(...rttsMs) <= EQUAL_RTT_MS;
}

/** Plays the requests from workload a1. The lab's proxies run. */
export async function playRequests(lab: Lab): Promise<RequestOutcome[]> {
  await untilMeasured(lab, "node-a");
  const onUnderlay = await lab.capture("node-a", TUNNEL_PORT);
  const inside = lab.topology.encryption !== undefined ? await lab.captureInside("node-a", TUNNEL_PORT) : onUnderlay;
  const outcomes: RequestOutcome[] = [];
  for (const promised of PROMISES) {
    const outcome = await playMeasured(lab, inside, promised, outcomes.at(-1)?.instance);
    outcomes.push(inside === onUnderlay ? outcome : withoutClear(outcome, capturedPackets(onUnderlay)));
  }
  for (const capture of new Set([onUnderlay, inside])) await Lab.endCapture(capture);
  return outcomes;
}

/** Of an encrypted underlay: no inner packet may be readable on it. */
function withoutClear(outcome: RequestOutcome, readable: readonly InnerPacket[]): RequestOutcome {
  const [first] = readable;
  if (first === undefined) return outcome;
  const fault = `Expected no readable packet on the underlay, found ${first.src} > ${first.dst}.`;
  return { ...outcome, ok: false, faults: [...outcome.faults, fault] };
}

/** A busy machine makes the times differ for a moment; a request that fell into it shows nothing and is made again. */
async function playMeasured(
  lab: Lab,
  capture: SandboxProgram,
  promised: Promised,
  previous: string | undefined,
): Promise<RequestOutcome> {
  for (let left = TRIES; ; left--) {
    const outcome = await playRequest(lab, capture, promised, previous);
    if (outcome.ok || left === 1 || (await areEquallyFast(lab, "node-a"))) return outcome;
    await untilMeasured(lab, "node-a");
  }
}

async function playRequest(
  lab: Lab,
  capture: SandboxProgram,
  { number, address, by, expectation }: Promised,
  previous: string | undefined,
): Promise<RequestOutcome> {
  const before = capturedPackets(capture).length;
  const plan = { protocol: "http", address } as const;
  const [result] = await lab.ask<CallResult[]>("a1", { kind: "together", calls: [plan], rounds: 1 });
  const instance = result?.instances[0] ?? "";
  const reached = findWorkload(lab.topology, instance);
  const request = { address, policy: policyOf(lab.topology, address), instance, node: reached?.node ?? "" };
  if (result === undefined || instance === "") {
    const faults = [`No answer came: ${result?.failures.join("; ")}`];
    return { number, ...request, inner: { src: "", dst: "" }, answeredFrom: "", ok: false, faults };
  }

  const isOfRequest = ({ protocol, srcPort, dstPort }: InnerPacket) =>
    protocol === Protocol.TCP && srcPort === result.localPort && dstPort === SERVICE_PORT;
  const packets = () => capturedPackets(capture).slice(before).filter(isOfRequest);
  await capture.until(`the packets of the request to ${address}`, () => packets().length > 0, CAPTURE_TIMEOUT_MS);
  const [first] = packets();
  const inner = { src: first?.src ?? "", dst: first?.dst ?? "" };
  const answeredFrom = result.answeredFrom.join(", ");

  const isV6 = familyOf(address) === 6;
  const client = instanceAddress(lab.topology, "A 1", isV6);
  const target = isV6 ? reached?.addresses.v6 : reached?.addresses.v4;
  const seenSource = result.sources[0]?.split(" ")[0];
  const strays = packets().filter(({ src, dst }) => src !== client || dst !== target);
  const faults = [
    by(instance, previous) ? "" : `Expected an answer by ${expectation}, found ${instance}.`,
    strays.length === 0
      ? ""
      : `Expected ${client} > ${target} on the underlay, found ${strays[0]?.src} > ${strays[0]?.dst}.`,
    seenSource === client ? "" : `Expected the server to see ${client} as the source, found ${seenSource}.`,
    answeredFrom === canonicalAddress(address)
      ? ""
      : `Expected the answer to come from ${address}, found ${answeredFrom}.`,
    ...result.failures,
  ].filter((fault) => fault !== "");
  return { number, ...request, inner, answeredFrom, ok: faults.length === 0, faults };
}

function capturedPackets(capture: SandboxProgram): InnerPacket[] {
  const lines = capture.stdout.slice(0, capture.stdout.lastIndexOf("\n")).split("\n");
  return lines.slice(1).map((line): InnerPacket => JSON.parse(line)); // the first line is "ready"
}

function policyOf({ services }: Topology, address: string): string {
  for (const service of services) {
    const found = service.addresses.find((candidate) => candidate.address === address);
    if (found !== undefined) return found.policy;
  }
  return "instance";
}

function findWorkload(topology: Topology, instance: string) {
  return topology.workloads.find(({ name }) => instanceName(topology, name) === instance);
}

function instanceAddress({ services }: Topology, instance: string, isV6: boolean): string {
  for (const { name, instances } of services) {
    const found = instances.find(({ number }) => `${name} ${number}` === instance);
    const address = found?.instanceAddresses.find((candidate) => candidate.includes(":") === isV6);
    if (address !== undefined) return address;
  }
  return "";
}
