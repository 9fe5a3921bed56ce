// Least connections from end to end, on a clock of its own: one instance answers in half a second, two in 5 ms. What a
// flow counts as load follows its connection, however that ends. Against the definition, with true counts.
import { describe, expect, test } from "vitest";
import { PolicyHost } from "../../src/dataplane/worker/policies.ts";
import { readInstanceLoad } from "../../src/memory/measurements.ts";
import { FLAG, packet } from "../support/packet-builder.ts";
import { compilePolicy } from "../support/policies.ts";
import { inspectFlowTable } from "../support/reference/flow-table.ts";
import { A1, B1, B2, B3, FROM, onNodeA, ROUND_ROBIN, TO } from "../support/world.ts";

const SERVICE_MS = [500, 5, 5];
const CLIENTS = 20;
const DURATION_MS = 2500;
const IDLE_MS = 600; // of answered UDP; longer than any answer takes
const INSTANCES = [
  { endpoint: TO.b, from: FROM.b, instance: B1 },
  { endpoint: TO.c, from: FROM.c, instance: B2 },
  { endpoint: TO.d, from: FROM.d, instance: B3 },
];

type End = "FIN of both" | "reset of the server" | "reset of the client" | "silence";

describe.each(["FIN of both", "reset of the server", "reset of the client", "silence"] as const)(
  "ended by %s",
  (end) => {
    test("the slow instance gets its small share", async () => {
      const found = await serve(end);
      const expected = byDefinition(end);
      expect(found.reduce((sum, one) => sum + one)).toBeGreaterThan(200);
      found.forEach((count, i) => {
        const wanted = expected[i] as number;
        expect(Math.abs(count - wanted), `instance ${i + 1}: ${found}, by definition ${expected}`).toBeLessThanOrEqual(
          Math.max(2, wanted / 10),
        );
      });
    });
  },
);

/** Each client opens a connection, waits for its end, and opens the next one. */
async function serve(end: End): Promise<number[]> {
  const fixture = await onNodeA({ withoutTwin: true, memory: { timeoutsMs: { udpStream: IDLE_MS } } });
  const modules = [{ slot: 0, name: "least-connections", module: await compilePolicy("least-connections") }];
  const host = new PolicyHost(fixture.shared.memory, modules, 0, { clockMs: () => fixture.nowMs });
  fixture.policy = ({ flowHash, clientHash }, serviceAt) => host.choose(serviceAt, flowHash, clientHash);
  const counts = [0, 0, 0];
  const due: { atMs: number; sport: number; index: number }[] = [];
  let sport = 1024;
  const isTcp = end !== "silence";
  const out = (port: number, flags: number) => {
    const build = packet().ip(A1.v4, ROUND_ROBIN.b.v4);
    const ports = { sport: port, dport: 80 };
    return fixture.egress((isTcp ? build.tcp({ ...ports, flags }) : build.udp(ports).payload("q")).frame());
  };
  const back = (port: number, index: number, flags: number): void => {
    const { from, instance } = INSTANCES[index] as (typeof INSTANCES)[number];
    const build = packet().ip(instance.instanceV4, A1.v4);
    const ports = { sport: 80, dport: port };
    const bytes = (isTcp ? build.tcp({ ...ports, flags }) : build.udp(ports).payload("a")).bytes();
    fixture.ingress({ ...from, bytes });
  };
  const open = (): void => {
    sport = sport === 65_535 ? 1024 : sport + 1;
    const [sent] = out(sport, FLAG.SYN).datagrams;
    const index = INSTANCES.findIndex(({ endpoint }) => endpoint === sent?.endpoint);
    counts[index] = (counts[index] ?? 0) + 1;
    back(sport, index, FLAG.SYN | FLAG.ACK);
    out(sport, FLAG.ACK);
    due.push({ atMs: fixture.nowMs + (SERVICE_MS[index] as number), sport, index });
  };
  const close = (port: number, index: number): void => {
    if (end === "FIN of both") {
      back(port, index, FLAG.FIN | FLAG.ACK);
      out(port, FLAG.FIN | FLAG.ACK);
      back(port, index, FLAG.ACK);
    } else if (end === "reset of the server") back(port, index, FLAG.RST | FLAG.ACK);
    else if (end === "reset of the client") out(port, FLAG.RST);
    else back(port, index, 0);
  };
  const endMs = fixture.nowMs + DURATION_MS;
  for (let i = 0; i < CLIENTS; i++) open();
  while (fixture.nowMs < endMs) {
    fixture.advance(1);
    fixture.sweep();
    const over = due.filter(({ atMs }) => atMs <= fixture.nowMs);
    for (const one of over) {
      due.splice(due.indexOf(one), 1);
      close(one.sport, one.index);
      open();
    }
  }
  expect(inspectFlowTable(fixture.shared).broken).toEqual([]);
  const live = fixture.tables.instanceIndices("b").map((index) => readInstanceLoad(fixture.shared, index));
  if (isTcp) expect(live.reduce((sum, one) => sum + one)).toBe(CLIENTS);
  return counts;
}

/** The same by whole numbers: a connection goes where the fewest are, in turn among equals. */
function byDefinition(end: End): number[] {
  const counts = [0, 0, 0];
  const live = [0, 0, 0];
  const events: { atMs: number; index: number; isClient: boolean }[] = [];
  let turn = 0;
  const open = (nowMs: number): void => {
    const least = Math.min(...live);
    let index = turn % 3;
    while (live[index] !== least) index = (index + 1) % 3;
    turn = index + 1;
    live[index] = least + 1;
    counts[index] = (counts[index] ?? 0) + 1;
    const answeredMs = nowMs + (SERVICE_MS[index] as number);
    events.push({ atMs: answeredMs, index, isClient: true });
    // Nobody sees the end of a conversation over UDP: it lives until it was idle for long enough.
    events.push({ atMs: answeredMs + (end === "silence" ? IDLE_MS : 0), index, isClient: false });
  };
  for (let i = 0; i < CLIENTS; i++) open(0);
  for (let nowMs = 1; nowMs <= DURATION_MS; nowMs++) {
    const over = events.filter(({ atMs }) => atMs <= nowMs);
    for (const event of over) events.splice(events.indexOf(event), 1);
    for (const { index, isClient } of over) if (!isClient) live[index] = (live[index] as number) - 1;
    for (const { isClient } of over) if (isClient) open(nowMs);
  }
  return counts;
}
